//go:build !race

package nft

// raceDetector says whether the tests run with it, several times slower.
const raceDetector = false
