package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"stockade/cmd/stockade/config"
	"stockade/receiver"
)

// checkFiles reports certificates, keys and CAs that cannot be used. Who only checks may do so on
// another machine, or as another user.
func (b *built) checkFiles(serving bool) {
	receiver.ValidateFiles(b.loaded.Config.Listeners, func(path string, err error) {
		switch elsewhere := errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission); {
		case serving || !elsewhere:
			b.loaded.Report(path, config.SeverityError, err.Error())
		default:
			b.loaded.Report(path, config.SeverityWarning, fmt.Sprintf("%v: serve does not start without it", err))
		}
	})
}

// checkPrograms reports jails that demand a program where this process cannot see which program
// wrote a line: each of their lines would be refused.
func (b *built) checkPrograms() {
	if receiver.ReadsPrograms() {
		return
	}
	transports := b.transports()
	for i, j := range b.loaded.Config.Jails {
		if j.Enabled != nil && !*j.Enabled || j.Origin == nil || j.Origin.Exe == "" || onlyOwn(j.Origin.UID) {
			continue
		}
		for _, s := range b.loaded.Config.Sources {
			unix := transports[s.Listener] == "unix" || transports[s.Listener] == "unixgram"
			if unix && (slices.Contains(s.Jails, "*") || slices.Contains(s.Jails, j.Name)) {
				b.loaded.Report(fmt.Sprintf("jails[%d].origin.exe", i), config.SeverityError, fmt.Sprintf(
					"jail %q demands exe %q of the lines of source %q, and this process may not see who runs what: it needs CAP_SYS_PTRACE, or demand uid or unit instead",
					j.Name, j.Origin.Exe, s.Name))
				break
			}
		}
	}
}

// onlyOwn reports whether a jail believes this process's own user alone, whose programs it may see:
// not those of root, which may have more capabilities (ptrace(2)).
func onlyOwn(uids []uint32) bool {
	return len(uids) == 1 && uids[0] != 0 && int(uids[0]) == os.Geteuid()
}
