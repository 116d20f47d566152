package migrate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"stockade/jails/filter/fail2ban"
)

// DefaultDir is where fail2ban's configuration is.
const DefaultDir = "/etc/fail2ban"

// maxJails bounds how many jails are read.
const maxJails = 2000

// Setup is a fail2ban folder.
type Setup struct {
	Dir      string   // absolute
	Files    []string // of the jails, in the order in which fail2ban reads them
	Jails    []*Jail  // the enabled ones, in order of appearance
	Disabled []string // the names of the others
	Database string   // fail2ban's database; "" when it keeps none
	Log      string   // its log file; "" when it logs elsewhere
	PurgeAge string   // how long its database remembers, as written
}

// Read reads a folder of fail2ban's. The error joins every fault that was found, each with its file
// and line.
func Read(dir string) (*Setup, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(dir); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a folder such as %s", dir, DefaultDir)
	}
	s := &Setup{Dir: dir}
	var faults []error
	if err := s.readMain(); err != nil {
		faults = append(faults, err)
	}
	c, err := fail2ban.ReadConfig(filepath.Join(dir, "jail"), fail2ban.Reader{})
	if err != nil {
		return nil, errors.Join(append(faults, err)...)
	}
	s.Files = c.Files()
	c = c.With("DEFAULT", map[string]string{"fail2ban_version": version, "fail2ban_confpath": dir}, true)
	for _, name := range c.Sections() {
		if name == "INCLUDES" {
			continue
		}
		if len(s.Jails)+len(s.Disabled) == maxJails {
			faults = append(faults, fmt.Errorf("%s: more than %d jails", s.Files[0], maxJails))
			break
		}
		r := &jailReader{setup: s, config: c, name: name}
		enabled, err := r.enabled()
		if err != nil {
			faults = append(faults, err)
			continue
		}
		if !enabled {
			s.Disabled = append(s.Disabled, name)
			continue
		}
		j, err := r.read()
		if err != nil {
			faults = append(faults, fmt.Errorf("jail %s: %w", name, err))
			continue
		}
		s.Jails = append(s.Jails, j)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return s, nil
}

// version is what %(fail2ban_version)s becomes: it names an agent to other services.
const version = "1.1.0"

// readMain reads fail2ban.conf, which may be missing.
func (s *Setup) readMain() error {
	s.Database, s.Log, s.PurgeAge = "/var/lib/fail2ban/fail2ban.sqlite3", "/var/log/fail2ban.log", "1d"
	base := filepath.Join(s.Dir, "fail2ban")
	found, _ := filepath.Glob(base + ".d/*.conf")
	if !slices.ContainsFunc(append(found, base+".conf", base+".local"), exists) {
		return nil
	}
	c, err := fail2ban.ReadConfig(base, fail2ban.Reader{})
	if err != nil {
		return err
	}
	for option, into := range map[string]*string{"dbfile": &s.Database, "logtarget": &s.Log, "dbpurgeage": &s.PurgeAge} {
		// The options were in [Definition] until 1.0, and are in [DEFAULT] since.
		text, ok, err := c.Get("Definition", option, nil)
		if err != nil {
			return err
		}
		if ok {
			*into = strings.TrimSpace(text)
		}
	}
	if !strings.HasPrefix(s.Database, "/") {
		s.Database = "" // None, or :memory:
	}
	if !strings.HasPrefix(s.Log, "/") {
		s.Log = ""
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
