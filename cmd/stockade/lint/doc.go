// Package lint looks at failregex patterns with an attacker's eyes: could somebody who controls
// part of a line make the pattern report another address than his own?
//
// It reads patterns only; nothing of a running daemon is asked. All functions may be called
// concurrently. A pattern that does not compile is left to the compiler's own report.
package lint
