package control_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"stockade/cmd/stockade/control"
	"stockade/cmd/stockade/control/controltest"
)

// helperSocket is the variable that makes the test binary a client, which tries everything as
// whoever it runs as.
const helperSocket = "STOCKADE_TEST_CONTROL_SOCKET"

// helperClient prints what each request gives.
func helperClient(ctx context.Context, socket string) {
	target := control.Target{Prefix: netip.MustParsePrefix("192.0.2.7/32"), Bare: true}
	c, err := control.Dial(ctx, socket)
	if err != nil {
		fmt.Println("DIAL", verdict(err))
		return
	}
	_, err = c.Status(ctx)
	fmt.Println("STATUS", verdict(err))
	_, err = c.Bans(ctx, "")
	fmt.Println("BANS", verdict(err))
	_, err = c.Ban(ctx, control.BanRequest{Address: target})
	fmt.Println("BAN", verdict(err))
	_, err = c.Unban(ctx, control.UnbanRequest{Address: target})
	fmt.Println("UNBAN", verdict(err))
	_, err = c.Reload(ctx, control.ReloadRequest{})
	fmt.Println("RELOAD", verdict(err))
	c.Close()
}

func verdict(err error) string {
	var e *control.Error
	switch {
	case err == nil:
		return "done"
	case errors.As(err, &e):
		return string(e.Code)
	}
	return err.Error()
}

// requireRoot skips a test that changes users, or fails it where skips are forbidden.
func requireRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("STOCKADE_REQUIRE") == "all" {
		t.Fatal("needs root to run clients as other users")
	}
	t.Skip("needs root to run clients as other users")
}

func TestRolesOfRealUsers(t *testing.T) {
	requireRoot(t)
	const plain, admins, readers = 64001, 64002, 64003
	tests := []struct {
		name             string
		group, readGroup string
		cred             syscall.Credential
		want             string
	}{
		{"without a group a plain user cannot even open the socket", "", "",
			syscall.Credential{Uid: plain, Gid: plain}, "DIAL not_permitted\n"},
		{"a member of the group may do all", fmt.Sprint(admins), "",
			syscall.Credential{Uid: plain, Gid: plain, Groups: []uint32{plain, admins}},
			"STATUS done\nBANS done\nBAN done\nUNBAN done\nRELOAD done\n"},
		{"a plain user beside a group cannot open the socket", fmt.Sprint(admins), "",
			syscall.Credential{Uid: plain, Gid: plain}, "DIAL not_permitted\n"},
		{"a reader may look", fmt.Sprint(admins), fmt.Sprint(readers),
			syscall.Credential{Uid: plain, Gid: plain, Groups: []uint32{readers}},
			"STATUS done\nBANS done\nBAN not_permitted\nUNBAN not_permitted\nRELOAD not_permitted\n"},
		{"a plain user at an open socket may nothing", fmt.Sprint(admins), fmt.Sprint(readers),
			syscall.Credential{Uid: plain, Gid: plain},
			"STATUS not_permitted\nBANS not_permitted\nBAN not_permitted\nUNBAN not_permitted\nRELOAD not_permitted\n"},
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	copied := folder(t) // the build folder may be closed to other users
	if err := os.Chmod(copied, 0o755); err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	exe = copied + "/control.test"
	if err := os.WriteFile(exe, binary, 0o755); err != nil { //nolint:gosec // other users run it
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fake := &controltest.Fake{}
			o := options(t, fake)
			o.Group, o.ReadGroup = tt.group, tt.readGroup
			serve(t, o)
			if err := os.Chmod(o.Socket[:len(o.Socket)-len("/control.sock")], 0o755); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), exe)
			cmd.Env = []string{helperSocket + "=" + o.Socket, "GORACE=atexit_sleep_ms=0"}
			cmd.Dir = "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &tt.cred}
			got, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, got)
			}
			if string(got) != tt.want {
				t.Errorf("got:\n%swant:\n%s", got, tt.want)
			}
			if tt.cred.Groups == nil && fake.Changes() != 0 {
				t.Error("a plain user changed something")
			}
		})
	}
}
