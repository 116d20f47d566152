package fail2ban

import (
	"path/filepath"
	"testing"
)

// TestConformanceJails reads jail.conf with the layered reader and resolves the filter of every
// jail as the jail names it.
func TestConformanceJails(t *testing.T) {
	dir := dataFolder(t)
	if dir == "" {
		return
	}
	c, err := ReadConfig(filepath.Join(dir, "jail"), Reader{})
	if err != nil {
		t.Skipf("no jail.conf: %v", err)
	}
	c = c.With(defaultSection, map[string]string{"fail2ban_version": "1.1.2", "fail2ban_confpath": dir}, false)
	jails := 0
	for _, name := range c.Sections() {
		if name == "INCLUDES" {
			continue
		}
		jails++
		ref, ok, err := c.Get(name, "filter", nil)
		if err != nil || !ok {
			t.Errorf("%s: filter %t %v", name, ok, err)
			continue
		}
		path, options, err := Parse(ref)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		e, err := Load(filepath.Join(dir, "filter.d", path), Options{Filter: options})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(e.FailRegex) == 0 {
			t.Errorf("%s: no failregex", name)
		}
		for _, option := range c.Options(name) {
			if _, _, err := c.Get(name, option, nil); err != nil {
				t.Errorf("%s: %s: %v", name, option, err)
			}
		}
	}
	t.Logf("%d jails", jails)
}
