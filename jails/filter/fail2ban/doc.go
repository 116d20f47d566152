// Package fail2ban reads fail2ban's filter files as they are and turns them into filters.
//
// Read finds a reference of the form PATH[options], reads the file with everything that it
// includes and that lies over it (.local, .d), resolves interpolation and tags in fail2ban's
// order, and makes a filter.Spec whose Form rebuilds received entries as the lines that the
// filter was written for. Config is the layered reader below it, for any of fail2ban's files.
//
// Nothing is executed and no name is looked up. All reading happens in the call; what is returned
// is immutable and may be shared by goroutines.
package fail2ban
