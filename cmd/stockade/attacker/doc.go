// Package attacker answers, from a configuration alone, whom an attacker at a source could get
// banned: a plain user of the sending host, its root, somebody on the way from it, and a stranger
// who sends its services forged packets. It also compares two configurations, so that a change
// that gives an attacker more is seen before it is made.
//
// The answers are upper bounds: protected addresses are never banned, whoever accuses them. All
// functions are pure and may be called concurrently.
package attacker
