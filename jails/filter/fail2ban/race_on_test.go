//go:build race

package fail2ban

const raceEnabled = true // everything is many times slower
