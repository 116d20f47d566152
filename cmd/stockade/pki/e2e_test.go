package pki

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

// requireWorld skips the test where the world cannot be made.
func requireWorld(t testing.TB) {
	t.Helper()
	rig.RequireRoot(t)
	rig.RequirePrograms(t, "rsyslogd", "logger", "unshare", "ip", "tar", "hostname", "setpriv")
}

// requireDriver skips the test where rsyslog lacks a TLS driver.
func requireDriver(t testing.TB, module string) {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/*/rsyslog/" + module)
	rig.Require(t, len(found) > 0, "needs rsyslog's "+module+" (packages rsyslog-openssl, rsyslog-gnutls)")
}

// commands returns the shell block of a README that begins with "# pki:".
func commands(t testing.TB, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(data), "```sh\n# pki:")
	if !ok {
		return ""
	}
	block, _, _ := strings.Cut(rest, "```")
	return "# pki:" + block
}

// world makes a machine of its own for one test: network, host name, /etc, /run, /var/lib and
// /var/spool are private, and ssh to web1.lan reaches the same machine. It serves, runs the five
// commands, then the test's own $BODY. What would have to be typed on a real host is in $COMMANDS
// alone.
const world = `set -eu
fail() { echo "failed: $1" >&2; stockade sources --json >&2 || true; cat "$LAB/serve.log" "$LAB/rsyslogd.log" >&2 || true; exit 1; }
wait_for() { for i in $(seq 300); do if eval "$2" >/dev/null 2>&1; then return; fi; sleep 0.1; done; fail "$1"; }
mkdir "$LAB/etc"
mount -t tmpfs tmpfs "$LAB/etc"
mkdir "$LAB/etc/upper" "$LAB/etc/work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$LAB/etc/upper,workdir=$LAB/etc/work" /etc 2>/dev/null || {
  cp -a /etc "$LAB/etc/copy"
  mount --bind "$LAB/etc/copy" /etc
}
for d in /run /var/lib /var/spool; do mount -t tmpfs tmpfs $d; done
ip link set lo up
hostname web1
echo '127.0.0.1 localhost gateway.lan web1.lan web1' >/etc/hosts
mkdir -p /etc/stockade /var/spool/rsyslog
rm -rf /etc/stockade/* /etc/rsyslog.d/* /etc/rsyslog-tls
cat >/etc/stockade/stockade.yaml <<END
listeners: [{name: local, transport: unixgram, path: /run/stockade/syslog.sock, mode: "0666"}]
sources: [{name: this-host, listener: local, jails: ["*"]}]
jails: [{name: sshd, filter: sshd, maxretry: 3}]
firewall: {backend: observe}
END
cat >/etc/rsyslog.conf <<END
global(workDirectory="/var/spool/rsyslog")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="$LAB/log")
include(file="/etc/rsyslog.d/*.conf")
END
cat >"$LAB/bin/ssh" <<'END'
#!/bin/sh
[ "$1" = root@web1.lan ] || exit 255
shift
exec sh -c "$*"
END
cat >"$LAB/bin/systemctl" <<'END'
#!/bin/sh
[ "$*" = "restart rsyslog" ] || exit 1
if [ -S "$LAB/log" ]; then # it ran
  kill $(cat "$LAB/rsyslogd.pid")
  while [ -e "$LAB/rsyslogd.pid" ]; do sleep 0.05; done
  rm -f "$LAB/log"
fi
rsyslogd -n -i "$LAB/rsyslogd.pid" >"$LAB/rsyslogd.log" 2>&1 </dev/null &
END
chmod 755 "$LAB/bin/ssh" "$LAB/bin/systemctl"
export PATH="$LAB/bin:/usr/sbin:/usr/bin:/sbin:/bin"
touch "$LAB/rsyslogd.log"
stockade serve >"$LAB/serve.log" 2>&1 &
daemon=$!
trap 'kill $daemon $(cat "$LAB/rsyslogd.pid" 2>/dev/null) 2>/dev/null || true; wait' EXIT
wait_for "serve is ready" 'stockade ping'

eval "$COMMANDS"
wait_for "rsyslogd listens" '[ -S "$LAB/log" ] && [ -s "$LAB/rsyslogd.pid" ]'
eval "$BODY"
`

// logins is the body of TestFirstTrustedLine: three failures, logged by root.
const logins = `
for i in 1 2 3; do
  logger -u "$LAB/log" -t sshd --id=100$i -p authpriv.info "Failed password for root from 198.51.100.7 port 4000$i ssh2"
done
wait_for "the failures become a ban" 'stockade bans --json | grep -q 198.51.100.7/32'
stockade sources --json >"$LAB/sources.json"
stockade bans --json >"$LAB/bans.json"
stockade check --json >"$LAB/check.json"
`

// TestFirstTrustedLine runs the commands of the README as they stand, with a real rsyslogd.
func TestFirstTrustedLine(t *testing.T) {
	requireWorld(t)
	block := commands(t, "README.md")
	lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(block), "\n"), func(l string) bool { return strings.HasPrefix(l, "#") })
	if len(lines) != 5 {
		t.Fatalf("the README has %d commands, want 5:\n%s", len(lines), block)
	}
	if main := commands(t, "../../../README.md"); main != "" && main != block {
		t.Errorf("the two READMEs differ:\n%s\n%s", main, block)
	}
	bin := build(t)
	drivers := []string{"ossl", "gtls"}
	if testing.Short() {
		drivers = drivers[:1]
	}
	for _, driver := range drivers {
		t.Run(driver, func(t *testing.T) {
			requireDriver(t, "lmnsd_"+driver+".so")
			begin := time.Now()
			lab := live(t, bin, strings.ReplaceAll(block, "--driver ossl", "--driver "+driver), logins)
			t.Logf("from the first command to the ban, start of both daemons included: %v", time.Since(begin).Round(time.Millisecond))
			var sources []struct {
				Name, Trust, Identity string
				Lines, Failures       int64
				Refused               map[string]int64
			}
			read(t, filepath.Join(lab, "sources.json"), &sources)
			for _, s := range sources {
				switch s.Name {
				case "web1-lan":
					if s.Trust != "tls" || s.Failures != 3 || s.Lines < 3 || len(s.Refused) > 0 {
						t.Errorf("source %+v, want tls, 3 failures, nothing refused", s)
					}
				case "this-host":
					if s.Lines != 0 {
						t.Errorf("source %+v, want no line", s)
					}
				default:
					t.Errorf("unknown source %+v", s)
				}
			}
			var bans []struct{ Address, Source, Trust string }
			read(t, filepath.Join(lab, "bans.json"), &bans)
			if len(bans) != 1 || bans[0].Source != "web1-lan" || bans[0].Trust != "tls" {
				t.Errorf("bans are %+v", bans)
			}
		})
	}
}

// built is the folder of a stockade that is built once, when a test first needs it.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "stockade-pki-")
	if err != nil {
		return "", err
	}
	if out, err := exec.Command("go", "build", "-o", dir+"/", "stockade/cmd/stockade").CombinedOutput(); err != nil {
		return dir, fmt.Errorf("build: %w\n%s", err, out)
	}
	return dir, os.Chmod(dir, 0o755)
})

func TestMain(m *testing.M) {
	code := m.Run()
	if usedBuild {
		dir, _ := built() // its error failed a test
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// usedBuild says that built was called.
var usedBuild bool

func build(t testing.TB) string {
	t.Helper()
	usedBuild = true
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// live runs the world and returns its folder, which is $LAB there.
func live(t testing.TB, bin, commands, body string) string {
	t.Helper()
	lab := t.TempDir()
	if err := os.Symlink(filepath.Join(bin, "stockade"), filepath.Join(mkdir(t, lab, "bin"), "stockade")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--mount", "--net", "--uts", "--fork", "--pid", "--kill-child", "--mount-proc", "bash", "-c", world)
	cmd.Env = append(os.Environ(), "LAB="+lab, "COMMANDS="+commands, "BODY="+body)
	cmd.WaitDelay = 5 * time.Second
	limit := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer limit.Stop()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return lab
}

func mkdir(t testing.TB, parts ...string) string {
	t.Helper()
	dir := filepath.Join(parts...)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func read(t testing.TB, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
}
