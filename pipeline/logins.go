package pipeline

import (
	"cmp"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"stockade/receiver/statefile"
)

const (
	loginsFile = "logins"
	loginsKind = "logins 1"
	loginsWait = time.Minute // between two saves, so long as the daemon runs
)

// savedLogin is an address that logged in, as it stands in the file.
type savedLogin struct {
	Addr []byte // 4 or 16 bytes
	At   int64  // Unix seconds
}

// load takes what save kept in the folder, but for what is too old. A file that is not there is none.
func (s *Successes) load(dir string) error {
	var saved []savedLogin
	path := filepath.Join(dir, loginsFile)
	if _, err := statefile.Load(path, loginsKind, &saved); err != nil {
		return fmt.Errorf("read the logins in %q: %w", path, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for _, l := range saved {
		addr, ok := netip.AddrFromSlice(l.Addr)
		at := time.Unix(l.At, 0)
		if ok && len(s.last) < maxSuccess && now.Sub(at) <= successKept && !at.After(now) {
			s.last[addr] = at
		}
	}
	return nil
}

// save keeps the logins in the folder, where there are new ones and the last save is older than wait.
func (s *Successes) save(dir string, wait time.Duration) error {
	s.mu.Lock()
	now := s.now()
	if !s.unsaved || now.Sub(s.saved) < wait {
		s.mu.Unlock()
		return nil
	}
	s.unsaved, s.saved = false, now
	list := make([]savedLogin, 0, len(s.last))
	for addr, at := range s.last {
		list = append(list, savedLogin{addr.AsSlice(), at.Unix()})
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b savedLogin) int { return cmp.Or(cmp.Compare(a.At, b.At), slices.Compare(a.Addr, b.Addr)) })
	if err := statefile.Save(filepath.Join(dir, loginsFile), loginsKind, list); err != nil {
		s.mu.Lock()
		s.unsaved = true
		s.mu.Unlock()
		return err
	}
	return nil
}

// saveLogins keeps who logged in for the next start.
func (p *Pipeline) saveLogins(wait time.Duration) {
	if p.dir == "" {
		return
	}
	if err := p.successes.save(p.dir, wait); err != nil {
		p.log.Warn("who logged in lately is forgotten by a restart", "err", err)
	}
}
