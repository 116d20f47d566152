package child

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

func TestRunsAsNobody(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("STOCKADE_REQUIRE") == "all" {
			t.Fatal("needs root")
		}
		t.Skip("needs root: another user runs the program")
	}
	out, err := Run(t.Context(), Command{Path: "/usr/bin/id"})
	if err != nil || !strings.Contains(out, "(nobody)") || strings.Contains(out, "=0(") {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := Run(t.Context(), Command{Path: "/bin/true", User: "no-such-user"}); !errors.As(err, new(*StartError)) {
		t.Errorf("a user who does not exist: %v", err)
	}
}

func TestRun(t *testing.T) {
	out, err := Run(t.Context(), Command{Path: "/bin/sh", Args: []string{"-c", `echo "$A" "$HOME$SECRET"; exit 3`}, Env: []string{"A=b c"}})
	if out != "b c \n" || err == nil || !strings.Contains(err.Error(), "3") {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := Run(t.Context(), Command{Path: "/nowhere"}); !errors.As(err, new(*StartError)) {
		t.Errorf("a program that is not there: %v", err)
	}
	out, _ = Run(t.Context(), Command{Path: "/bin/sh", Args: []string{"-c", "i=0; while [ $i -lt 500 ]; do echo 0123456789; i=$((i+1)); done"}})
	if len(out) != maxOutput {
		t.Errorf("%d bytes of output are kept", len(out))
	}
}

func TestRunsOutOfTime(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := Run(ctx, Command{Path: "/bin/sh", Args: []string{"-c", "sleep 60 & sleep 60"}})
	if err == nil || !strings.Contains(err.Error(), "time") {
		t.Errorf("%v", err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %s", took)
	}
}
