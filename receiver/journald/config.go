package journald

import (
	"fmt"
	"regexp"
)

// Config is one entry of `journals`: a reader of the local journal.
type Config struct {
	Name    string   `yaml:"name"`
	Matches []string `yaml:"matches"` // FIELD=value, or + between alternatives, as journalctl takes them; absent: everything
}

var (
	nameShape  = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)
	matchShape = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*=[^\x00]*$`)
)

// Validate reports every fault of a merged list of journals, with the path of the key it is at,
// such as "journals[0].matches[1]". It runs nothing.
func Validate(cfgs []Config, report func(path, message string)) {
	seen := make(map[string]bool)
	for i := range cfgs {
		c := &cfgs[i]
		at := fmt.Sprintf("journals[%d]", i)
		switch {
		case !nameShape.MatchString(c.Name):
			report(at+".name", fmt.Sprintf("name %q must match [a-z0-9][a-z0-9-]*", clip(c.Name)))
		case seen[c.Name]:
			report(at+".name", fmt.Sprintf("name %q stands in the list twice", clip(c.Name)))
		}
		seen[c.Name] = true
		for j, match := range c.Matches {
			where := fmt.Sprintf("%s.matches[%d]", at, j)
			if match == "+" && j > 0 && j < len(c.Matches)-1 {
				continue
			}
			if !matchShape.MatchString(match) {
				report(where, fmt.Sprintf("%q is not FIELD=value, such as _SYSTEMD_UNIT=ssh.service", clip(match)))
			}
		}
	}
}

// clip cuts a string of the configuration to what an error text may show.
func clip(s string) string {
	const most = 256
	return s[:min(len(s), most)]
}
