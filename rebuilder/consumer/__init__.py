"""What somebody who installs runs: the answers of rebuilders about the files of a lock file, checked here.

Nothing of it needs a sandbox, root, a database or Linux.
"""
