// Package migrate moves a host from fail2ban to Stockade: its configuration, its bans and its history.
//
// Read finds every jail of a fail2ban folder as fail2ban itself resolves it: layers, includes,
// interpolation, tags. Translate makes of the enabled ones one file of Stockade's configuration, and a
// report that says of each jail what moved, what was replaced, what is different and what could not
// move. Write puts the file in place in one step, or changes nothing.
//
// Nothing of the folder is executed, no name is looked up, and fail2ban's own files are only read.
// All functions may be called concurrently; what they return belongs to the caller.
package migrate
