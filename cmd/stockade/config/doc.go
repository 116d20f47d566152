// Package config finds the configuration of a Stockade daemon, merges its files, decodes the
// result strictly and remembers where every value was written.
//
// The layers, weakest first: the built-in defaults, stockade.yaml, conf.d/*.yaml in name order,
// STOCKADE_* variables. In a merge a scalar replaces, a list of named things merges by name and a
// plain list replaces, except never_ban and ignoreip, which add.
//
// A file that is wrong in ten places is told so in one go: every fault is a [Problem] with file,
// line, column and path. Faults that only other packages can see are added by [Loaded.Check] and
// [Loaded.Report].
//
// Load reads files and nothing else: it opens no socket, asks no kernel and creates nothing.
// A file may have 512 KiB, 32 levels, 500 keys a mapping and no aliases, so that noise costs bounded time and memory.
// A Loaded value is not safe for concurrent use until the last Report; its Config may then be
// read by any number of goroutines.
package config
