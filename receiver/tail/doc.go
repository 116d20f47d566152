// Package tail follows log files: a compatible way in for daemons that write nothing else.
//
// A Tail finds files by globs, now and later, and reads each to its last line through rotation by
// rename, by copy and truncation, by a symbolic link that is turned to another file, and through
// its own restart. A file is its device and inode; where these are used again, its content tells.
// What a rotation moved away before it was read is looked for beside the file. Compressed files
// are never read.
//
// # What a file is worth
//
// A file proves no more than that somebody who may write it did. Judge names the least trusted of
// them, from the owner and mode of the file and of every folder above it. Only root: LevelKernel.
// One other user or a group: LevelAddress. Everybody: LevelSpoofable. The Origin of a line is that
// user, unless the file holds lines with syslog headers: then a log carrier wrote it, and what it
// carried may be anybody's.
//
// Symbolic links are followed inside their own folder only. Nothing but regular files is read.
//
// # Lines
//
// A line ends at its LF; a CR before it is no part of it. A line longer than MaxLine is handed on
// once, cut and marked Truncated. What has no LF yet stays in the file until it has. A line with a
// syslog header is decoded as one. Of all others Options.Cut takes out the date, and the rest is
// the text; the app is that of the configuration.
//
// # Concurrency
//
// One goroutine does everything: it waits for inotify and, beside it, looks at every file once a
// second, because network and overlay file systems do not tell of every change. A full pipeline
// makes it wait, and the lines with it: in their file. It holds one buffer and less than 2 KiB for
// each file. Ready, Stats and String may be called by others; Run is called once.
package tail
