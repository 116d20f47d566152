package tail

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"stockade/receiver/receivertest"
)

// TestRecordsThatRsyslogCuts: a real rsyslogd takes a message of more than 8 KiB by TCP and writes
// its rest as a line of its own, under a header of its own. It is marked.
func TestRecordsThatRsyslogCuts(t *testing.T) {
	bin, err := exec.LookPath("rsyslogd")
	if err != nil {
		bin = "/usr/sbin/rsyslogd"
	}
	_, err = os.Stat(bin)
	receivertest.Need(t, err == nil, "rsyslogd")
	r := newRig(t, "start", "out").start()
	port := strconv.Itoa(receivertest.FreePort(t))
	conf := filepath.Join(r.state, "rsyslog.conf")
	text := fmt.Sprintf("module(load=\"imtcp\") input(type=\"imtcp\" port=%q address=\"127.0.0.1\")\n*.* action(type=\"omfile\" file=%q)\n", port, r.path("out"))
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "-n", "-f", conf, "-i", filepath.Join(r.state, "pid"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var c net.Conn
	if !receivertest.Eventually(10*time.Second, func() bool { c, err = net.Dial("tcp", "127.0.0.1:"+port); return err == nil }) {
		t.Fatal(err)
	}
	defer c.Close()
	const head, limit = "<38>Nov 24 08:00:00 h app[1]: ", 8096
	const attack = "sshd[1]: Failed password for root from 192.0.2.66 port 1 ssh2"
	fmt.Fprintf(c, "%s%s%s\n%shonest\n", head, strings.Repeat("B", limit-len(head)), attack, head)
	r.wait("the honest line", func() bool {
		all := r.rec.All()
		return len(all) > 0 && all[len(all)-1].Text == "honest"
	})
	marked := 0
	for _, l := range r.rec.All() {
		if l.Continued {
			marked++
		}
		if strings.Contains(l.Raw, "192.0.2.66") && !l.Continued {
			t.Errorf("the rest is not marked: %+v", l)
		}
	}
	if last := r.rec.All()[len(r.rec.All())-1]; marked != 1 || last.Continued {
		t.Errorf("%d lines are marked, the honest one: %v", marked, last.Continued)
	}
}
