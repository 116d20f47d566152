package state

import (
	"strings"
	"testing"
	"time"
)

func TestConfig(t *testing.T) {
	for _, tt := range []struct {
		name       string
		config     Config
		path, want string // "": no fault
	}{
		{name: "nothing written is right"},
		{name: "all within the limits is right", config: Config{1 << 20, 1000, 1 << 20, 365 * 24 * time.Hour}},
		{name: "too few windows", config: Config{Windows: 999}, path: "memory.windows", want: `"999" must be between 1000 and`},
		{name: "too many offenders", config: Config{Offenders: 1<<24 + 1}, path: "memory.offenders", want: "and 16777216"},
		{name: "too little evidence", config: Config{Evidence: 1000}, path: "memory.evidence", want: "bytes"},
		{name: "a history that is no history", config: Config{History: time.Minute}, path: "memory.history", want: `"1m0s" must be between 1h`},
		{name: "negative windows", config: Config{Windows: -1}, path: "memory.windows", want: `"-1"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			tt.config.Validate(func(path, message string) { got += path + ": " + message })
			if tt.path == "" && got != "" || tt.path != "" && (!strings.HasPrefix(got, tt.path+": ") || !strings.Contains(got, tt.want)) {
				t.Errorf("reported %q, want %q with %q", got, tt.path, tt.want)
			}
		})
	}
}
