/** What to say to somebody. */
export function greeting(name: string): string {
  return `Hello, ${name}!`;
}
