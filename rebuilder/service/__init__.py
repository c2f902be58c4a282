"""The service: watches, works through the queue, tells about alarms, answers over HTTP."""
