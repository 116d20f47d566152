package action

import (
	"fmt"
	"os/user"
	"regexp"
	"strings"
	"sync"
	"time"

	"stockade/jails/filter/fail2ban"
)

// Config is one entry of `actions`.
type Config struct {
	Name    string        `yaml:"name"`
	Action  string        `yaml:"action"`  // fail2ban:PATH[options], an action file of fail2ban's
	Jails   []string      `yaml:"jails"`   // whose bans it is told of
	User    string        `yaml:"user"`    // that runs it; absent: nobody, or stockade's own user when that is not root
	Timeout time.Duration `yaml:"timeout"` // of one command; 60s, as in fail2ban
}

const (
	defaultTimeout = 60 * time.Second
	maxTimeout     = 10 * time.Minute
)

var nameShape = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,99}$`) })

// Validate reports every fault of a merged list of actions, with the path of the key it is at, such as
// "actions[0].action". It opens no file: Read tells what is wrong with one.
func Validate(cfgs []Config, jails []string, report func(path, message string)) {
	seen := map[string]bool{}
	known := map[string]bool{}
	for _, j := range jails {
		known[j] = true
	}
	for i := range cfgs {
		c := &cfgs[i]
		fault := func(key, format string, args ...any) {
			report(fmt.Sprintf("actions[%d].%s", i, key), fmt.Sprintf(format, args...))
		}
		switch {
		case !nameShape().MatchString(c.Name):
			fault("name", "name %q must match [a-z0-9][a-z0-9-]* and have at most 100 bytes", clip(c.Name))
		case seen[c.Name]:
			fault("name", "name %q stands in the list twice", clip(c.Name))
		}
		seen[c.Name] = true
		if len(c.Jails) == 0 {
			fault("jails", "no jails: an action is told of the bans of the jails that it names")
		}
		for k, j := range c.Jails {
			if !known[j] {
				fault(fmt.Sprintf("jails[%d]", k), "no jail %q in the list jails", clip(j))
			}
		}
		if c.Timeout != 0 && (c.Timeout < time.Second || c.Timeout > maxTimeout) {
			fault("timeout", "timeout %s must be between 1s and %s", c.Timeout, maxTimeout)
		}
		if c.User != "" {
			if _, err := user.Lookup(c.User); err != nil {
				fault("user", "no user %q on this host", clip(c.User))
			}
		}
		if !strings.HasPrefix(c.Action, fail2ban.Prefix) {
			fault("action", "action %q: write fail2ban:/etc/fail2ban/action.d/NAME.conf[options]", clip(c.Action))
		}
	}
}

// clip cuts a string of the configuration to what an error text may show.
func clip(s string) string {
	const most = 256
	return strings.ToValidUTF8(s[:min(len(s), most)], "")
}
