package tail

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Config is one entry of `tails`: files that are followed.
type Config struct {
	Name  string   `yaml:"name"`
	Paths []string `yaml:"paths"` // absolute, with globs (also **)
	App   string   `yaml:"app"`   // the app name of lines without a syslog header
	From  string   `yaml:"from"`  // end (default) or start: where files are begun that are there at the first start
}

var nameShape = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

// Validate reports every fault of a merged list of tails, with the path of the key it is at, such
// as "tails[0].paths[1]". It opens no file.
func Validate(cfgs []Config, report func(path, message string)) {
	seen := make(map[string]bool)
	for i := range cfgs {
		c := &cfgs[i]
		at := fmt.Sprintf("tails[%d]", i)
		switch {
		case !nameShape.MatchString(c.Name):
			report(at+".name", fmt.Sprintf("name %q must match [a-z0-9][a-z0-9-]*", clip(c.Name)))
		case seen[c.Name]:
			report(at+".name", fmt.Sprintf("name %q stands in the list twice", clip(c.Name)))
		}
		seen[c.Name] = true
		if len(c.Paths) == 0 {
			report(at, "paths is missing: say which files to follow, such as paths: [/var/log/auth.log]")
		}
		for j, path := range c.Paths {
			where := fmt.Sprintf("%s.paths[%d]", at, j)
			switch {
			case !filepath.IsAbs(path) || !doublestar.ValidatePathPattern(path):
				report(where, fmt.Sprintf("%q is not an absolute path or a pattern of one", clip(path)))
			case compressed(path):
				report(where, fmt.Sprintf("%q names compressed files, which are never followed: use replay", clip(path)))
			}
		}
		if strings.ContainsAny(c.App, " \t\r\n") {
			report(at+".app", fmt.Sprintf("app %q must be a name without spaces", clip(c.App)))
		}
		if c.From != "" && c.From != "end" && c.From != "start" {
			report(at+".from", fmt.Sprintf("%q must be one of end, start", clip(c.From)))
		}
	}
}

// clip cuts a string of the configuration to what an error text may show.
func clip(s string) string {
	const most = 256
	return s[:min(len(s), most)]
}
