// Package sqlite reads tables of an SQLite 3 database file, for the bans that fail2ban keeps in one.
//
// It is a reader of the file format alone (https://www.sqlite.org/fileformat2.html): table b-trees,
// records, overflow pages, the columns as CREATE TABLE lists them. There is no SQL and nothing is
// written. It takes SQLite's own shared lock while it reads, so that it sees whole transactions also
// of a program that goes on writing; a database with a journal or a log beside it is refused, because
// the file alone is not all of it.
//
// The whole of a general library costs a resident megabyte and the start of every other command; this
// costs nothing until it is called. A file may hold anything: every length, page number and depth is
// checked, and work is bounded by the number of pages.
package sqlite
