package journald

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade/receiver/receivertest"
)

// entry writes one record in the export format. A value with an LF is written with its length.
func entry(b *bytes.Buffer, at time.Time, n int, app, text string, fields ...string) {
	us := at.UnixMicro() + int64(n)
	fmt.Fprintf(b, "__CURSOR=s=0123456789abcdef0123456789abcdef;i=%x;b=fedcba9876543210fedcba9876543210;m=%x;t=%x;x=1\n", n, n, us)
	fmt.Fprintf(b, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=fedcba9876543210fedcba9876543210\n", us, n)
	fmt.Fprintf(b, "SYSLOG_IDENTIFIER=%s\n", app)
	for _, f := range append(fields, "MESSAGE="+text) {
		name, value, _ := strings.Cut(f, "=")
		if !strings.Contains(value, "\n") {
			fmt.Fprintf(b, "%s=%s\n", name, value)
			continue
		}
		b.WriteString(name + "\n")
		b.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(value))))
		b.WriteString(value + "\n")
	}
	b.WriteByte('\n')
}

// makeJournal makes a real journal file of records in the export format.
func makeJournal(t testing.TB, fill func(b *bytes.Buffer)) string {
	t.Helper()
	remote := receivertest.NeedProgram(t, remotePath, "systemd-journal-remote")
	var b bytes.Buffer
	fill(&b)
	file := filepath.Join(t.TempDir(), "made.journal")
	cmd := exec.Command(remote, "--output="+file, "--split-mode=none", "-")
	cmd.Stdin = &b
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("systemd-journal-remote: %v\n%s", err, out)
	}
	return file
}
