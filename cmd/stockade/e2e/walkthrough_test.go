package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

const walkthroughConfig = `
listeners:
  - {name: local, transport: unixgram, path: "%%DIR%%/syslog.sock"}
sources:
  - {name: this-host, listener: local, jails: ["*"]}
jails:
  - name: every-request
    filter:
      failregex: ['^<HOST> - .+(GET|POST).*$']
      ignoreregex: ['\.(?i:jpg|png|css|js|ico)']
    maxretry: 3
    findtime: 1s
    bantime: 1h
  - name: wrong-login
    filter:
      failregex: ['^<HOST> - .+(GET|POST).+ 401 .*$']
    maxretry: 2
    findtime: 10s
    bantime: 1h
firewall: {backend: %s}
`

// TestWalkthrough is the well-known first example of this kind of program: lines of a web server,
// two jails, and the answers that an operator of fail2ban knows.
func TestWalkthrough(t *testing.T) {
	rig.RequirePrograms(t, "logger")
	ns, backend := "", "observe"
	if os.Geteuid() == 0 {
		ns, backend = rig.NewNS(t), "nftables"
	}
	d := rig.NewDaemon(t, ns, fmt.Sprintf(walkthroughConfig, backend)).Start()
	const flood, viewer, slow, guesser = "198.18.1.1", "198.18.1.2", "198.18.1.3", "198.18.1.4"

	if out := d.Must("status"); out != "Status\n|- Number of jail:\t2\n`- Jail list:\tevery-request, wrong-login\n" {
		t.Errorf("status prints %q", out)
	}
	lines := func(jail string, failed, total, banned, totalBanned int, list string) string {
		return fmt.Sprintf("Status for the jail: %s\n"+
			"|- Filter\n"+
			"|  |- Currently failed:\t%d\n"+
			"|  |- Total failed:\t%d\n"+
			"|  `- Source list:\tthis-host\n"+
			"`- Actions\n"+
			"   |- Currently banned:\t%d\n"+
			"   |- Total banned:\t%d\n"+
			"   `- Banned IP list:\t%s\n", jail, failed, total, banned, totalBanned, list)
	}
	// shows waits until status prints one of these.
	shows := func(jail string, want ...string) {
		t.Helper()
		got := ""
		if !rig.Soon(30*time.Second, func() bool { got = d.Must("status", jail); return slices.Contains(want, got) }) {
			t.Fatalf("status %s prints\n%s\nwant\n%s", jail, got, strings.Join(want, "or\n"))
		}
	}
	tree := func(jail string, failed, total, banned, totalBanned int, list string) {
		t.Helper()
		shows(jail, lines(jail, failed, total, banned, totalBanned, list))
	}
	// counted waits until so many failures were counted of an address that is not banned. It is shown as
	// failed for one second, which may be over before status is asked.
	counted := func(jail string, total int) {
		t.Helper()
		shows(jail, lines(jail, 1, total, 0, 0, ""), lines(jail, 0, total, 0, 0, ""))
	}
	tree("every-request", 0, 0, 0, 0, "")

	// Pictures and styles are no requests to count, however many there are.
	logger(d, access(viewer, "GET /logo.PNG", 200), access(viewer, "GET /a.css", 200), access(viewer, "GET /b.js", 200), access(viewer, "GET /favicon.ico", 404))
	// Two pages, and the third when the second has passed: never three within it.
	logger(d, access(slow, "GET /one", 200), access(slow, "GET /two", 200))
	counted("every-request", 2)
	tree("every-request", 0, 2, 0, 0, "")
	logger(d, access(slow, "GET /three", 200))
	counted("every-request", 3)

	// Three pages at once.
	logger(d, access(flood, "GET /", 200), access(flood, "POST /login", 302), access(flood, "GET /home", 200))
	tree("every-request", 0, 6, 1, 1, flood)
	tree("wrong-login", 0, 0, 0, 0, "")

	// A wrong password is a request too, and the second within ten seconds is one too many.
	logger(d, access(guesser, "POST /login", 401))
	tree("wrong-login", 1, 1, 0, 0, "")
	logger(d, access(guesser, "POST /login", 401))
	tree("wrong-login", 0, 2, 1, 1, guesser)
	if ns != "" {
		for addr, want := range map[string]bool{flood: true, guesser: true, viewer: false, slow: false} {
			if !rig.Soon(30*time.Second, func() bool { return rig.Holds(t, ns, "ban4", addr) == want }) {
				t.Errorf("%s in the kernel's set: want %t", addr, want)
			}
		}
	}

	bans := d.Bans()
	if len(bans) != 2 {
		t.Fatalf("bans = %+v, want two", bans)
	}
	for _, b := range bans {
		if left := time.Until(*b.End); left < 59*time.Minute || left > time.Hour {
			t.Errorf("the ban of %s ends in %s, want an hour", b.Address, left)
		}
	}
	if list := d.Must("bans", "--jail", "every-request"); !strings.Contains(list, flood) || strings.Contains(list, guesser) {
		t.Errorf("bans --jail every-request prints\n%s", list)
	}

	d.Must("unban", flood)
	tree("every-request", 0, 8, 0, 1, "") // the total stays
	if out, code := d.Run("unban", flood); code != 1 {
		t.Errorf("a second unban exits with %d, want 1: %s", code, out)
	}
	if ns != "" && rig.Holds(t, ns, "ban4", flood) {
		t.Error("the kernel still holds the address after unban")
	}
	d.Must("ban", viewer, "--jail", "every-request")
	tree("every-request", 0, 8, 1, 2, viewer)
	d.Must("unban", "--all")
	tree("every-request", 0, 8, 0, 2, "")
	tree("wrong-login", 0, 2, 0, 1, "")
}

// access is a line of a web server's log, in the combined format.
func access(from, request string, code int) string {
	return fmt.Sprintf(`%s - - [%s] "%s HTTP/1.1" %d 612 "-" "Mozilla/5.0 (X11; Linux x86_64)"`,
		from, time.Now().Format("02/Jan/2006:15:04:05 -0700"), request, code)
}

// logger sends lines with the program of that name, as a web server's would come.
func logger(d *rig.Daemon, lines ...string) {
	d.T.Helper()
	cmd := exec.Command("logger", "--socket", d.Dir+"/syslog.sock", "--tag", "nginx", "--priority", "local7.info")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		d.T.Fatalf("logger: %v\n%s", err, out)
	}
}
