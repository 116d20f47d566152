package tail

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/bmatcuk/doublestar/v4"
	"golang.org/x/sys/unix"

	"stockade/receiver"
)

// Worth says who can write a file, and so how far its lines are to be believed.
type Worth struct {
	Level receiver.Level // LevelKernel: root alone; LevelAddress: one more user or group; LevelSpoofable: everybody
	UID   int64          // the one user beside root who can write it, 0 without one, -1 for a group, several users or everybody
	Why   string         // the least trusted writer in words: "/var/log/app belongs to uid 33"
}

// least returns the lesser of two worths. Where several users could write, none of them did.
func least(a, b Worth) Worth {
	switch {
	case b.Level < a.Level:
		a, b = b, a
	case a.Level > receiver.LevelSpoofable && a.Level == b.Level && a.UID != b.UID:
		a.UID = -1
	}
	return a
}

// Survey judges the files that the paths of a tail name now. worth is that of the least trusted one;
// files is how many there are, of which at most 1,024 are looked at. It opens none of them.
func Survey(cfg Config) (worth Worth, files int) {
	for _, pattern := range cfg.Paths {
		matches, err := doublestar.FilepathGlob(pattern, doublestar.WithNoFollow())
		if err != nil {
			continue
		}
		for _, path := range matches {
			if compressed(path) || files == maxFiles {
				continue
			}
			if _, _, err := resolve(path); err != nil {
				continue
			}
			w, err := Judge(path)
			if err != nil {
				continue
			}
			if files++; files > 1 {
				w = least(worth, w)
			}
			worth = w
		}
	}
	return worth, files
}

// Judge says what a file is worth. path must be absolute. A symbolic link is worth no more than
// its own folders and those of its target.
func Judge(path string) (Worth, error) {
	j := judgement{worth: Worth{Level: receiver.LevelKernel, Why: "only root can write it"}}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return Worth{}, err
	}
	ways := []string{real}
	if real != path {
		ways = append(ways, filepath.Dir(path))
	}
	for _, way := range ways {
		for p := way; ; p = filepath.Dir(p) {
			info, err := os.Stat(p)
			if err != nil {
				return Worth{}, err
			}
			j.look(p, info)
			if p == "/" {
				break
			}
		}
	}
	return j.worth, nil
}

type judgement struct {
	worth Worth
}

// look takes one file or folder of the way into account.
func (j *judgement) look(path string, info os.FileInfo) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		j.lower(receiver.LevelSpoofable, -1, "the owner of "+path+" is not known")
		return
	}
	if st.Uid != 0 {
		j.lower(receiver.LevelAddress, int64(st.Uid), fmt.Sprintf("%s belongs to uid %d", path, st.Uid))
	}
	// In a sticky folder nobody can replace what belongs to others.
	if info.Mode()&os.ModeSticky != 0 {
		return
	}
	if info.Mode()&0o020 != 0 {
		// With an access control list these bits are what all those in it may at most.
		if n, err := unix.Getxattr(path, "system.posix_acl_access", nil); err == nil && n > 0 {
			j.lower(receiver.LevelAddress, -1, path+" can be written by others by its access control list")
		} else if st.Gid != 0 {
			j.lower(receiver.LevelAddress, -1, fmt.Sprintf("%s can be written by group %d", path, st.Gid))
		}
	}
	if info.Mode()&0o002 != 0 {
		j.lower(receiver.LevelSpoofable, -1, path+" can be written by everybody")
	}
}

func (j *judgement) lower(level receiver.Level, uid int64, why string) {
	w := &j.worth
	switch {
	case level < w.Level:
		if w.Level == receiver.LevelAddress && w.UID != uid {
			uid = -1
		}
		*w = Worth{level, uid, why}
	case level == w.Level && w.UID != uid:
		w.UID = -1
	}
}
