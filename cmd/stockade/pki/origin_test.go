package pki

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade/receiver/decode"

	"stockade/cmd/stockade/e2e/rig"
)

const originExample = "../../../examples/rsyslog-origin.conf"

// TestOriginExample has rsyslogd check the example, with the input that it asks for.
func TestOriginExample(t *testing.T) {
	rsyslogd := "/usr/sbin/rsyslogd"
	_, err := os.Stat(rsyslogd)
	rig.Require(t, err == nil, "needs the program rsyslogd")
	requireDriver(t, "lmnsd_ossl.so")
	text, err := os.ReadFile(originExample)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "rsyslog.conf")
	head := `module(load="imuxsock" SysSock.Annotate="on" SysSock.ParseTrusted="on")` + "\n"
	if !strings.Contains(string(text), "#   "+head) {
		t.Errorf("the example does not tell of %s", head)
	}
	if err := os.WriteFile(conf, []byte("global(workDirectory=\""+dir+"\")\n"+head+string(text)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(rsyslogd, "-N1", "-f", conf, "-i", filepath.Join(dir, "pid")).CombinedOutput()
	if err != nil || strings.Contains(string(out), "error") {
		t.Errorf("rsyslogd -N1: %v\n%s", err, out)
	}
}

// slander is the body of TestOrigin: rsyslog forwards origins, and another rule of the host parses
// JSON before that, as structured logging asks for. Nobody tries what he can; then root logs. What
// leaves for the gateway is also written to $LAB/sent.
const slander = `
sed -i 's/^    jails:/    vouches: true\n&/' /etc/stockade/conf.d/61-web1.yaml
stockade reload
sed -i "s|^module(load=.imuxsock.*|module(load=\"imuxsock\" SysSock.Name=\"$LAB/log\" SysSock.Annotate=\"on\" SysSock.ParseTrusted=\"on\")|; /^input/d" /etc/rsyslog.conf
rm /etc/rsyslog.d/60-stockade.conf
awk '/^auth,authpriv/ && !n++ { print "module(load=\"mmjsonparse\")\naction(type=\"mmjsonparse\")" } { print }' "$EXAMPLE" >/etc/rsyslog.d/00-stockade.conf
cat >/etc/rsyslog.d/90-see.conf <<END
template(name="see" type="string" string="<%pri%>1 %timereported:::date-rfc3339% %hostname% %app-name% %procid% - %$.origin% %msg:::drop-last-lf%\n")
*.* action(type="omfile" file="$LAB/sent" template="see")
END
systemctl restart rsyslog
wait_for "rsyslogd listens" '[ -S "$LAB/log" ]'
chmod 755 "$LAB" "$(dirname "$LAB")"
bad() { echo "Failed password for root from 198.51.100.$1 port 22 ssh2"; }
nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
log="nobody logger -u $LAB/log -p authpriv.info"
for i in $(seq 10000); do bad 1; done >"$LAB/many"
$log -t sshd <"$LAB/many"
for i in $(seq 5); do
  $log -t "sshd[123]" --id=1 "$(bad 2)"
  $log -t sshd "@cee:{\"uid\":\"0\",\"pid\":\"1\",\"exe\":\"/usr/sbin/sshd\",\"msg\":\"$(bad 3)\"}"
  $log -t sshd --rfc5424 --sd-id origin@32473 --sd-param 'uid="0"' "$(bad 4)"
  $log -t "sshd 1 - [origin@32473 uid=\"0\"]" "$(bad 5)"
  $log -t sshd "[origin@32473 uid=\"0\"] $(bad 6)"
  nobody bash -c 'exec -a "sshd\" uid=\"0" logger -u "$1" -p authpriv.info -t "sshd]\"" "$2"' x "$LAB/log" "$(bad 7)"
done
for i in 1 2 3; do logger -u "$LAB/log" -p authpriv.info -t sshd --id=200$i "$(bad 99)"; done
wait_for "root's failures become a ban" 'stockade bans --json | grep -q 198.51.100.99/32'
wait_for "all was written" '[ "$(grep -c 198.51.100 "$LAB/sent")" -ge 10033 ]'
stockade sources --json >"$LAB/sources.json"
stockade bans --json >"$LAB/bans.json"
`

// TestOrigin shows what arrives for root's and for nobody's lines, with what nobody can try.
func TestOrigin(t *testing.T) {
	requireWorld(t)
	requireDriver(t, "lmnsd_ossl.so")
	example, err := filepath.Abs(originExample)
	if err != nil {
		t.Fatal(err)
	}
	lab := live(t, build(t), commands(t, "README.md"), strings.ReplaceAll(slander, "$EXAMPLE", example))
	sent, err := os.ReadFile(filepath.Join(lab, "sent"))
	if err != nil {
		t.Fatal(err)
	}
	d, shown := decode.New(time.UTC), map[string]bool{}
	byUID := map[string]int{}
	for line := range bytes.Lines(sent) {
		var m decode.Message
		d.Decode(bytes.TrimSuffix(line, []byte("\n")), time.Now(), &m)
		if !bytes.Contains(m.Text, []byte("198.51.100.")) {
			continue // rsyslog's own
		}
		uid, _ := decode.Origin(m.SD, nil)
		if uid == nil {
			t.Errorf("no origin in %s", line)
		}
		byUID[string(uid)]++
		if bytes.Contains(m.Text, []byte("198.51.100.99")) != (string(uid) == "0") {
			t.Errorf("uid %s in %s", uid, line)
		}
		if _, after, found := bytes.Cut(m.Text, []byte("198.51.100.")); found {
			if id, _, _ := bytes.Cut(after, []byte(" ")); !shown[string(id)] {
				shown[string(id)] = true
				t.Logf("%s", bytes.TrimSpace(line))
			}
		}
	}
	if byUID["0"] != 3 || byUID["65534"] != 10030 || len(byUID) != 2 {
		t.Errorf("lines by uid: %v, want 3 of root and 10030 of nobody", byUID)
	}
	var bans []struct{ Address, Source string }
	read(t, filepath.Join(lab, "bans.json"), &bans)
	if len(bans) != 1 || bans[0].Address != "198.51.100.99/32" {
		t.Errorf("bans are %+v, want that of root's lines alone", bans)
	}
	var sources []struct {
		Name     string
		Failures int64
		Refused  map[string]int64
	}
	read(t, filepath.Join(lab, "sources.json"), &sources)
	for _, s := range sources {
		if s.Name == "web1-lan" {
			t.Logf("%+v", s)
			if s.Failures != 3 || s.Refused["forged"] < 10000 {
				t.Errorf("source %+v, want 3 failures and the forged ones counted", s)
			}
		}
	}
}

// carried is the body of TestCarrier: rsyslogd hands lines to the socket of a Stockade on the same
// host, where it arrives as root. Nobody logs to it, and to the socket itself; then root does.
const carried = `
cat >/etc/rsyslog.d/60-stockade.conf <<'END'
module(load="omuxsock")
$OMUxSockSocket /run/stockade/syslog.sock
template(name="carried" type="string" string="<%pri%>1 %timereported:::date-rfc3339% %hostname% %app-name% %procid% - %structured-data% %msg:::drop-last-lf%")
auth,authpriv.* :omuxsock:;carried
END
sed -i 's|^input(.*|input(type="imuxsock" Socket="'"$LAB"'/log" UseSpecialParser="off")|' /etc/rsyslog.conf
systemctl restart rsyslog
wait_for "rsyslogd listens" '[ -S "$LAB/log" ]'
chmod 755 "$LAB" "$(dirname "$LAB")"
bad() { echo "Failed password for root from 198.51.100.$1 port 22 ssh2"; }
nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
for i in $(seq 10000); do bad 1; done >"$LAB/many"
for socket in "$LAB/log" /run/stockade/syslog.sock; do
  log="nobody logger -u $socket -p authpriv.info"
  for i in $(seq 5); do
    $log -t "sshd[123]" --id=1 "$(bad 2)"
    $log -t sshd "@cee:{\"uid\":\"0\",\"msg\":\"$(bad 3)\"}"
    $log -t sshd --rfc5424 --sd-id origin@32473 --sd-param 'uid="0"' "$(bad 4)"
  done
  $log -t sshd <"$LAB/many"
done
refused() { stockade sources --json | grep -o "\"$1\":[0-9]*" | cut -d: -f2; }
wait_for "what was handed on is refused" '[ "$(refused origin_unknown)" -ge 10000 ]'
wait_for "what nobody wrote himself is refused" '[ "$(refused forged)" -ge 10000 ]'
for i in 1 2 3; do logger -u /run/stockade/syslog.sock -p authpriv.info -t sshd --id=200$i "$(bad 99)"; done
wait_for "root's failures become a ban" 'stockade bans --json | grep -q 198.51.100.99/32'
stockade sources --json >"$LAB/sources.json"
stockade bans --json >"$LAB/bans.json"
`

// TestCarrier: through a log carrier, and by himself, nobody gets nobody banned.
func TestCarrier(t *testing.T) {
	requireWorld(t)
	requireDriver(t, "lmnsd_ossl.so") // the world's rsyslogd begins as that of a host that sends
	lab := live(t, build(t), commands(t, "README.md"), carried)
	var bans []struct{ Address string }
	read(t, filepath.Join(lab, "bans.json"), &bans)
	if len(bans) != 1 || bans[0].Address != "198.51.100.99/32" {
		t.Errorf("bans are %+v, want that of root's lines alone", bans)
	}
	var sources []struct {
		Name     string
		Failures int64
		Refused  map[string]int64
	}
	read(t, filepath.Join(lab, "sources.json"), &sources)
	for _, s := range sources {
		if t.Logf("%+v", s); s.Name == "this-host" && s.Failures != 3 {
			t.Errorf("%d failures counted, want 3", s.Failures)
		}
	}
}
