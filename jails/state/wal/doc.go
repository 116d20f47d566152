// Package wal keeps a state on disk: a journal of records between snapshots, and files that are
// replaced as a whole.
//
// A Journal is a run of files, one a generation. Append never waits; Sync writes and fsyncs what
// was appended, for everyone who waits, in one go. A record is framed by its length and two
// CRC-32C sums, so that a torn tail and a damaged record are told from good ones. Everything goes
// through FS, so that tests can record each step, fail it, or stop after it. All functions may be
// called concurrently unless they say otherwise.
package wal
