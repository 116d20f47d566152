package journald

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade/receiver"
	"stockade/receiver/receivertest"
	"stockade/receiver/receivertest/record"
)

// uploadRig is a running Upload.
type uploadRig struct {
	*Upload
	pki   *pki
	rec   *record.Recorder
	reg   *receiver.Registry
	log   *receivertest.Log
	state string
	stop  func()
}

func startUpload(t testing.TB, tune func(*Upload), sources ...receiver.SourceConfig) *uploadRig {
	t.Helper()
	r := &uploadRig{pki: newPKI(t), rec: new(record.Recorder), log: new(receivertest.Log), state: t.TempDir()}
	for i := range sources {
		sources[i].Listener = "journal"
	}
	r.reg = record.Registry(t, sources...)
	r.start(t, tune)
	return r
}

func (r *uploadRig) start(t testing.TB, tune func(*Upload)) {
	t.Helper()
	cert, key := r.pki.issue(t, "server", false)
	u, err := Listen(receiver.Options{
		Config: receiver.ListenerConfig{
			Name: "journal", Transport: "journal-upload", Address: "127.0.0.1:0", Cert: cert, Key: key, ClientCA: filepath.Join(r.pki.dir, "ca.pem"),
		},
		Registry: r.reg, Open: r.rec.Open, Log: r.log.Logger(),
	}, r.state)
	if err != nil {
		t.Fatal(err)
	}
	if tune != nil {
		tune(u)
	}
	r.Upload = u
	r.stop = run(t, u)
}

func (r *uploadRig) url() string { return "https://" + r.Addr().String() + "/upload" }

func san(name string, vouches bool) receiver.SourceConfig {
	return receiver.SourceConfig{Name: name, Certificate: receiver.CertificateConfig{SAN: name}, Vouches: vouches}
}

func (r *uploadRig) refused(reason string) int64 {
	for _, x := range r.Stats().Refused {
		if x.Reason == reason {
			return x.Count
		}
	}
	return 0
}

func sourceRefused(s *receiver.Source, reason string) int64 {
	for _, x := range s.Refused.All() {
		if x.Reason == reason {
			return x.Count
		}
	}
	return 0
}

func TestAnUploadBecomesEntries(t *testing.T) {
	r := startUpload(t, nil, san("web1", true), san("web2", false))
	var b bytes.Buffer
	entry(&b, time.Now(), 1, "sshd", "Failed password", "_UID=0", "_PID=12", "_EXE=/usr/sbin/sshd", "_SYSTEMD_UNIT=ssh.service",
		"_HOSTNAME=web1", "PRIORITY=6", "SYSLOG_FACILITY=4", "_TRANSPORT=syslog")
	entry(&b, time.Now(), 2, "dockerd", "two\nlines", "_UID=0", "_EXE=/usr/bin/dockerd")
	for _, name := range []string{"web1", "web2"} {
		resp, err := r.pki.client(t, name).Post(r.url(), mediaType, bytes.NewReader(b.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusAccepted {
			t.Fatalf("status %d", resp.StatusCode)
		}
	}
	all := r.rec.All()
	if len(all) != 4 {
		t.Fatalf("%d entries", len(all))
	}
	want := receiver.Origin{Known: true, UID: 0, Exe: "/usr/sbin/sshd", Unit: "ssh.service"}
	x := all[0]
	if x.Origin != want || x.App != "sshd" || x.ProcID != "12" || x.Host != "web1" || x.Facility != 4 || x.Severity != 6 ||
		x.Peer.Level != receiver.LevelTLS || x.Stamp.IsZero() {
		t.Errorf("%+v", x)
	}
	if all[1].Origin.Known || all[1].Text != "two\nlines" {
		t.Errorf("a carrier's record: %+v", all[1])
	}
	if all[2].Origin.Known {
		t.Errorf("the word of a source that does not vouch: %+v", all[2].Origin)
	}
	if n := sourceRefused(r.reg.Load().All()[1], ReasonOrigin); n != 2 {
		t.Errorf("%d origins ignored", n)
	}
}

func TestWhatAnUploadMustBe(t *testing.T) {
	r := startUpload(t, nil, san("web1", false))
	c := r.pki.client(t, "web1")
	post := func(method, path, media, encoding string, body io.Reader) int {
		req, err := http.NewRequest(method, "https://"+r.Addr().String()+path, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", media)
		if encoding != "" {
			req.Header.Set("Content-Encoding", encoding)
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for _, x := range []struct {
		method, path, media, encoding string
		want                          int
	}{
		{"POST", "/", mediaType, "", 404}, {"GET", "/upload", mediaType, "", 405},
		{"POST", "/upload", "text/plain", "", 415}, {"POST", "/upload", mediaType, "gzip", 415},
	} {
		if have := post(x.method, x.path, x.media, x.encoding, strings.NewReader("")); have != x.want {
			t.Errorf("%+v: %d", x, have)
		}
	}
	if have := post("POST", "/upload", mediaType, "", strings.NewReader(strings.Repeat("A", 70)+"\n")); have != 400 {
		t.Errorf("garbage: %d", have)
	}
	if !receivertest.Eventually(60*time.Second, func() bool { return r.refused(ReasonRequest) == 4 && r.refused(receiver.ReasonFraming) == 1 }) {
		t.Errorf("refused: %+v", r.Stats().Refused)
	}
}

func TestWhoMayUpload(t *testing.T) {
	r := startUpload(t, nil, san("web1", false))
	for name, reason := range map[string]string{"": receiver.ReasonNoCertificate, "stranger": receiver.ReasonUnknownIdentity} {
		resp, err := r.pki.client(t, name).Post(r.url(), mediaType, strings.NewReader("MESSAGE=x\n\n"))
		if err == nil {
			resp.Body.Close()
			t.Errorf("%q: %d", name, resp.StatusCode)
		}
		if !receivertest.Eventually(60*time.Second, func() bool { return r.refused(reason) > 0 }) {
			t.Errorf("%q: refused %+v", name, r.Stats().Refused)
		}
	}
	resp, err := http.Post("http://"+r.Addr().String()+"/upload", mediaType, strings.NewReader("MESSAGE=x\n\n"))
	if err == nil {
		resp.Body.Close()
	}
	if !receivertest.Eventually(60*time.Second, func() bool { return r.refused(receiver.ReasonHTTP) > 0 }) {
		t.Errorf("plain HTTP: refused %+v", r.Stats().Refused)
	}
	if n := len(r.rec.All()); n != 0 {
		t.Errorf("%d entries", n)
	}
}

func TestAStreamThatNeverEndsIsReadAtOnceAndCutWithItsSource(t *testing.T) {
	r := startUpload(t, nil, san("web1", false))
	body, feed := io.Pipe()
	done := make(chan error, 1)
	c := r.pki.client(t, "web1")
	go func() {
		resp, err := c.Post(r.url(), mediaType, body)
		if err == nil {
			err = fmt.Errorf("status %d", resp.StatusCode)
			resp.Body.Close()
		}
		done <- err
	}()
	for i := range 3 {
		var b bytes.Buffer
		entry(&b, time.Now(), i+1, "app", fmt.Sprint(i))
		if _, err := feed.Write(b.Bytes()); err != nil {
			t.Fatal(err)
		}
		if !receivertest.Eventually(60*time.Second, func() bool { return len(r.rec.All()) == i+1 }) {
			t.Fatalf("record %d has not come", i)
		}
	}
	r.reg.Swap(record.Registry(t).Load())
	select {
	case <-done:
	case <-time.After(60 * time.Second):
		t.Fatal("the upload of a removed source goes on")
	}
	feed.Close()
	if !receivertest.Eventually(60*time.Second, func() bool { return r.refused(receiver.ReasonRemoved) == 1 }) {
		t.Errorf("refused %+v", r.Stats().Refused)
	}
}

func TestARecordThatStopsHalfWayIsCut(t *testing.T) {
	r := startUpload(t, func(u *Upload) { u.record = 100 * time.Millisecond }, san("web1", false))
	body, feed := io.Pipe()
	defer feed.Close()
	go func() { _, _ = io.WriteString(feed, "MESSAGE=half a rec") }()
	resp, err := r.pki.client(t, "web1").Post(r.url(), mediaType, body)
	if err == nil {
		resp.Body.Close()
	}
	if !receivertest.Eventually(60*time.Second, func() bool { return r.refused(receiver.ReasonPartial) == 1 }) {
		t.Errorf("refused %+v", r.Stats().Refused)
	}
}

// TestRealUpload: systemd-journal-upload sends a real journal; it is cut in the middle and sent
// again; each record comes once.
func TestRealUpload(t *testing.T) {
	bin := receivertest.NeedProgram(t, uploadPath, "systemd-journal-remote")
	count := 20000
	if testing.Short() {
		count = 3000
	}
	began := time.Now().Add(-time.Hour)
	file := makeJournal(t, func(b *bytes.Buffer) {
		for i := range count {
			entry(b, began, i+1, "sshd", fmt.Sprintf("line %d", i), "_UID=0", "_PID=7", "_EXE=/usr/sbin/sshd", "_SYSTEMD_UNIT=ssh.service", "_HOSTNAME=web1", "PRIORITY=6")
		}
	})
	r := startUpload(t, nil, san("web1", true))
	cert, key := r.pki.issue(t, "web1", false)
	state := filepath.Join(t.TempDir(), "state")
	send := func(addr string) ([]byte, error) {
		cmd := exec.Command(bin, "--url=https://"+addr, "--cert="+cert, "--key="+key, "--trust="+filepath.Join(r.pki.dir, "ca.pem"),
			"--file="+file, "--save-state="+state, "--follow=no")
		return cmd.CombinedOutput()
	}
	// The first attempt is cut at about the middle.
	out, err := send(cutting(t, r.Addr().String(), int64(count)*200))
	half := len(r.rec.All())
	if err == nil || half == 0 || half >= count {
		t.Fatalf("the cut upload: %v, %d of %d\n%s", err, half, count, out)
	}
	// We restart too.
	r.stop()
	r.start(t, nil)
	if out, err := send(r.Addr().String()); err != nil {
		t.Fatalf("upload: %v\n%s\n%s", err, out, r.log)
	}
	if !receivertest.Eventually(60*time.Second, func() bool { return len(r.rec.All()) >= count }) {
		t.Fatalf("%d of %d", len(r.rec.All()), count)
	}
	seen := make(map[string]int)
	want := receiver.Origin{Known: true, UID: 0, Exe: "/usr/sbin/sshd", Unit: "ssh.service"}
	for _, x := range r.rec.All() {
		seen[x.Text]++
		if x.Origin != want || x.Host != "web1" || x.App != "sshd" {
			t.Fatalf("%+v", x)
		}
	}
	for i := range count {
		if n := seen[fmt.Sprintf("line %d", i)]; n != 1 {
			t.Fatalf("line %d came %d times", i, n)
		}
	}
	again := sourceRefused(r.reg.Load().All()[0], ReasonSeen)
	t.Logf("%d records, cut after %d, %d sent again and dropped", count, half, again)
	if again == 0 {
		t.Error("nothing was sent again: the cut did not work")
	}
}

// cutting is a relay that ends every connection after so many bytes from the client.
func cutting(t *testing.T, to string, after int64) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", to)
			if err != nil {
				c.Close()
				continue
			}
			back := make(chan struct{})
			go func() {
				defer close(back)
				_, _ = io.Copy(c, up)
			}()
			_, _ = io.CopyN(up, c, after)
			c.Close()
			up.Close()
			<-back
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return ln.Addr().String()
}
