package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestVariables(t *testing.T) {
	o := write(t, map[string]string{"": "firewall: {backend: nftables}\nlog: {level: info}"})
	o.Environ = []string{
		"STOCKADE_FIREWALL_BACKEND=observe", "STOCKADE_DEFAULTS_BANTIME=1d 12h", "STOCKADE_PROTECT_LAN=false",
		"STOCKADE_DEFAULTS_INCREMENT_FACTOR=1.5", "STOCKADE_CONTROL_GROUP=0123", "STOCKADE_STATE_DIR=/a,b c#d: e",
		"STOCKADE_LOG_LEVEL=", "STOCKADE_REQUIRE=all", "STOCKADE_FAIL2BAN=/x", "STOCKADE_TEST_X=1", "STOCKADE_EVENT_JAIL=sshd",
		"OTHER=1", "STOCKADE=1", "",
	}
	l := mustLoad(t, o)
	c := l.Config
	if c.Firewall.Backend != "observe" || c.Defaults.BanTime != 36*time.Hour || c.ProtectLAN || c.Defaults.Increment.Factor != 1.5 ||
		c.Control.Group != "0123" || c.StateDir != "/a,b c#d: e" || c.Log.Level != "info" {
		t.Errorf("%+v", c)
	}
	if file, line, _ := l.Origins.At("firewall.backend"); file != "$STOCKADE_FIREWALL_BACKEND" || line != 0 {
		t.Errorf("firewall.backend comes from %s:%d", file, line)
	}
	if text, back := shown(t, l); !cmp.Equal(l.Config, back.Config) {
		t.Errorf("what Show wrote reads differently:\n%s", text)
	}
	var told []string
	for _, o := range l.Overrides() {
		told = append(told, o.Path)
	}
	if got, want := strings.Join(told, " "), "state_dir defaults.bantime protect_lan firewall.backend"; got != want {
		t.Errorf("overrides of %s, want %s", got, want)
	}
}

func TestVariablesWithFaults(t *testing.T) {
	o := write(t, nil)
	o.Environ = []string{"STOCKADE_FIREWALL_BACKND=x", "STOCKADE_FIREWALL_IPV6_PREFIX=099", "STOCKADE_DEFAULTS_FINDTIME=10q", "STOCKADE_JAILS=x", "STOCKADE_FIREWALL_VERDICT=drpo"}
	l, _ := Load(o)
	l.Check()
	want := `$STOCKADE_DEFAULTS_FINDTIME: defaults.findtime: "10q": unknown unit "q"; legal: ns, us, ms, s, m, h, d, w, mo, y
$STOCKADE_FIREWALL_BACKND: unknown variable; did you mean STOCKADE_FIREWALL_BACKEND?
$STOCKADE_FIREWALL_IPV6_PREFIX: firewall.ipv6_prefix: "099" can be read as octal or hexadecimal; write a decimal number without leading zero
$STOCKADE_FIREWALL_VERDICT: firewall.verdict: "drpo" is not one of drop, reject
$STOCKADE_JAILS: unknown variable; each scalar outside a list has one, such as STOCKADE_FIREWALL_BACKEND`
	if got := short(o, l.Err()); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	o.StrictEnv, o.Environ = false, o.Environ[:1]
	mustLoad(t, o)
}

func TestNoTwoKeysShareAVariable(t *testing.T) {
	seen := map[string]string{}
	rootShape().scalars("", func(path string, _ *shape) {
		name := Variable(path)
		if other, taken := seen[name]; taken {
			t.Errorf("%s and %s share %s", path, other, name)
		}
		if isReserved(name) {
			t.Errorf("%s has the reserved variable %s", path, name)
		}
		seen[name] = path
	})
	if seen["STOCKADE_FIREWALL_IPV6_PREFIX"] != "firewall.ipv6_prefix" || len(seen) < 25 {
		t.Errorf("%d variables: %v", len(seen), seen)
	}
}
