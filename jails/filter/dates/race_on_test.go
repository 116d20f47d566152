//go:build race

package dates

const raceEnabled = true // everything is many times slower
