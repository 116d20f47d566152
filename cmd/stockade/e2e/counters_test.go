package e2e

import "fmt"

// outcome is the number of lines of one outcome.
func outcome(all map[string]int64, name string) int64 {
	return all[fmt.Sprintf("stockade_lines_total{outcome=%q}", name)]
}
