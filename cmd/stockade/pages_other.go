//go:build !linux

package main

// forgetPages does nothing: it is known for Linux alone how.
func forgetPages() {}
