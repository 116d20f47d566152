package action

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// stockLike are ten actions in the manner of fail2ban's own. report stands for curl and mail: it notes
// its arguments and what it reads.
var stockLike = map[string]string{
	"report by argument": `actionban = %REPORT% --data-urlencode "comment=<matches>" --data "ip=<ip>" </dev/null`,
	"cut by printf":      `actionban = lgm=$(printf '%%.1000s\n...' "<matches>"); %REPORT% "comment=$lgm" </dev/null`,
	"mail": `actionban = printf %%b "Subject: [Fail2Ban] <name>: banned <ip> from <fq-hostname>
            To: root\n
            The IP <ip> has just been banned after
            <failures> attempts.\n\n
            Lines:\n<matches>\n\nUser <F-USER>\n" | %REPORT% -f "root" "root"`,
	"in single quotes": `actionban = %REPORT% '{"notes":"<F-USER> <matches>","value":"<ip>"}' </dev/null`,
	"without quotes":   `actionban = %REPORT% <F-USER> <matches> <ipmatches> <ipjailmatches> </dev/null`,
	"here-document":    "actionban = %REPORT% <<END\n            user <F-USER>\n            <matches>\n            END",
	"in a file": `actionban = printf '%%s %%s\n' "<ip>" "<F-USER>" >> %DIR%/list
          %REPORT% "` + "`" + `cat %DIR%/list` + "`" + `" <F-USER> </dev/null
actionunban = sed -i "/^<ip> /d" %DIR%/list`,
	"in backquotes": "actionban = %REPORT% \"`echo <matches>`\" `echo '<F-USER>'` </dev/null",
	"for and if":    `actionban = for m in "<matches>" '<F-USER>'; do if [ -n "$m" ]; then %REPORT% "$m" </dev/null; fi; done`,
	"through sed":   `actionban = echo "<matches>" | sed 's/x/<F-USER>/' | %REPORT%`,
}

// escapes are values that try to get a command run.
func escapes(canary string) []string {
	touch := "touch " + canary
	return []string{
		`'; ` + touch + `; '`, `"; ` + touch + `; "`, "`" + touch + "`", "$(" + touch + ")", "${x:-$(" + touch + ")}", "; " + touch + " #", "| " + touch,
		"& " + touch + " &", "\n" + touch + "\n", "\r\n" + touch, `'"'"'; ` + touch + ` #`, `\"; ` + touch + ` #`, `\`, `\\'` + touch, "'$(" + touch + ")'",
		`"$(` + touch + `)"`, "END\n" + touch, "\x00" + touch, "~!" + touch + "\n~!" + touch, "$STOCKADE_EVENT_MATCHES$(" + touch + ")", "<(" + touch + ")", ">" + canary,
		`*`, `$IFS` + touch, "-e " + touch, "/e " + touch + "\ne " + touch, "$((x[$(" + touch + ")]))", "%n%s%b\\x24(" + touch + ")", `\140` + touch + `\140`, `\0140` + touch + `\0140`,
	}
}

// TestHostileValues bans with values that try to get out of ten actions, in a real shell.
func TestHostileValues(t *testing.T) {
	commands := 0
	for name, text := range stockLike {
		ref, dir := writeAction(t, "[Definition]\n"+strings.ReplaceAll(strings.ReplaceAll(text, "%REPORT%", "%DIR%/report"), "\t", " ")+"\n")
		canary := filepath.Join(dir, "canary")
		report := "#!/bin/sh\nprintf '[%s]\\n' \"$@\" >> " + dir + "/log\ncat >> " + dir + "/log\n"
		if err := os.WriteFile(filepath.Join(dir, "report"), []byte(report), 0o755); err != nil { //nolint:gosec // nobody runs it
			t.Fatal(err)
		}
		d, err := Read(ref, "sshd")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		in := newInstance(Config{Name: "act"}, "sshd", d, &Options{Log: slog.New(slog.DiscardHandler), Host: "gate"})
		w := &work{instance: in}
		for i, value := range escapes(canary) {
			b := ban(fmt.Sprintf("192.0.2.%d", i+1), time.Hour)
			b.Matches, b.User = []string{value, "second " + value}, value
			if err := w.command(context.Background(), cmdBan, "", b); err != nil {
				t.Errorf("%s: %q: %v", name, value, err)
			}
			_ = w.command(context.Background(), cmdUnban, "", b)
			commands++
			if _, err := os.Stat(canary); err == nil {
				t.Fatalf("%s: the value %q got a command run", name, value)
			}
		}
		if log := read(dir); !strings.Contains(log, "touch") {
			t.Errorf("%s: the values did not arrive: %q", name, log)
		}
		if left, _ := filepath.Glob(dir + "/*"); len(left) > 4 {
			t.Errorf("%s: something made files: %q", name, left)
		}
	}
	t.Logf("%d bans through %d actions, 0 commands run", commands, len(stockLike))
}

// TestInstalledActions reads every action file of the installed fail2ban: each is either taken or
// refused for a reason that names a tag or a command.
func TestInstalledActions(t *testing.T) {
	files, _ := filepath.Glob("/etc/fail2ban/action.d/*.conf")
	if len(files) == 0 {
		t.Skip("needs /etc/fail2ban/action.d")
	}
	taken := 0
	for _, f := range files {
		_, err := Read("fail2ban:"+f, "sshd")
		switch {
		case err == nil:
			taken++
		case strings.Contains(err.Error(), "it has no command"): // for others to include
		default:
			t.Logf("%s is refused: %v", filepath.Base(f), err)
		}
	}
	t.Logf("%d of %d are taken", taken, len(files))
	if taken < len(files)*3/4 {
		t.Errorf("only %d of %d action files are taken", taken, len(files))
	}
}
