// Package rig builds the programs, starts the daemon and makes the hosts for end-to-end tests. Only
// tests import it: it registers the test flags -long and -build.
//
// A package of end-to-end tests has
//
//	func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }
//
// Every function that takes a testing.TB ends that test when it cannot do what it says, so it must
// be called by the test's own goroutine; what it starts or makes ends with the test. When the whole
// test process is killed, a shell script that outlives it ends what is left.
package rig
