// Package child runs a program for the daemon: by another user, without the daemon's capabilities, in a
// process group that ends as a whole when its time is over, and with nothing of the daemon's
// environment.
//
// Run may be called concurrently.
package child
