package pipeline

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"

	"stockade/jails/state"
)

const (
	aheadSwitch = 64 << 10 // bytes of a part from which the other one is used, once that may be emptied
	aheadMost   = 8 << 20  // bytes of a part at most: some 380,000 elements
)

// durability tells how far the journal is; see state.Store.
type durability interface {
	Logged() uint64
	Durable() uint64
}

// ahead notes, in two files in memory, which elements are given to the kernel before the journal's
// records of their bans are on disk. A process that is killed in between leaves elements that no ban
// stands behind; the files outlive it, as the kernel's table does, and the next start takes those
// elements out by their keys. A reboot takes the files and the table alike.
//
// One part is written to until it is large; then the other one is emptied, when the disk has all of
// what it names, and used in its place. Nothing waits for a disk: the files must be in a file system
// without one. What finds no room, because the disk has been stuck for long, is counted and given to
// the kernel all the same: after a kill it stays there until it ends.
//
// It belongs to the goroutine that owns the firewall. A nil *ahead notes nothing.
type ahead struct {
	disk   durability
	parts  [2]aheadPart
	now    int // the part that is written to
	buf    []byte
	missed int // elements without room since there last was some
	err    error
}

type aheadPart struct {
	file *os.File
	size int64
	upTo uint64 // the journal's newest record when the part was last written to
}

// errNoMemoryFolder says that the folder is on a disk.
var errNoMemoryFolder = errors.New("not on a tmpfs: a write could wait for a disk")

// openAhead opens path-0 and path-1, which are made when missing.
func openAhead(path string, disk durability) (*ahead, error) {
	if !inMemory(filepath.Dir(path)) {
		return nil, fmt.Errorf("%s: %w", filepath.Dir(path), errNoMemoryFolder)
	}
	a := &ahead{disk: disk}
	for i := range a.parts {
		f, err := os.OpenFile(fmt.Sprintf("%s-%d", path, i), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, errors.Join(err, a.close())
		}
		a.parts[i].file = f
	}
	return a, nil
}

func (a *ahead) close() error {
	if a == nil {
		return nil
	}
	var err error
	for _, p := range a.parts {
		if p.file != nil {
			err = errors.Join(err, p.file.Close())
		}
	}
	return err
}

// left returns what an earlier process noted, each element once. It is asked before anything is
// noted, which goes behind it until begin.
func (a *ahead) left() (map[state.Change]struct{}, error) {
	if a == nil {
		return nil, nil
	}
	all := make(map[state.Change]struct{})
	for i, p := range a.parts {
		data, err := io.ReadAll(io.NewSectionReader(p.file, 0, aheadMost))
		if err != nil {
			return nil, err
		}
		whole := int64(0)
		for c, rest, ok := cutChange(data); ok; c, rest, ok = cutChange(rest) {
			all[c] = struct{}{}
			whole = int64(len(data) - len(rest))
		}
		a.parts[i].size = whole
	}
	return all, nil
}

// begin empties both parts: nothing is left of what an earlier process noted.
func (a *ahead) begin() error {
	if a == nil {
		return nil
	}
	var err error
	for i := range a.parts {
		a.parts[i].size, a.parts[i].upTo = 0, 0
		err = errors.Join(err, a.parts[i].file.Truncate(0))
	}
	return err
}

// note notes elements that are about to be given to the kernel. Their bans' records are in the
// journal, on disk or not. It allocates nothing once its buffer has the size of a batch.
func (a *ahead) note(changes []state.Change) {
	if a == nil || len(changes) == 0 {
		return
	}
	a.buf = a.buf[:0]
	for _, c := range changes {
		a.buf = appendChange(a.buf, c)
	}
	p := a.part(len(a.buf))
	if p == nil {
		a.missed += len(changes)
		return
	}
	if _, a.err = p.file.WriteAt(a.buf, p.size); a.err != nil {
		a.missed += len(changes)
		return
	}
	p.size += int64(len(a.buf))
	p.upTo = a.disk.Logged()
	a.missed = 0
}

// part is where so many bytes go, nil when there is no room.
func (a *ahead) part(size int) *aheadPart {
	p, other := &a.parts[a.now], &a.parts[1-a.now]
	if p.size >= aheadSwitch && other.upTo <= a.disk.Durable() && other.file.Truncate(0) == nil {
		a.now, other.size = 1-a.now, 0
		p = other
	}
	if p.size+int64(size) > aheadMost {
		return nil
	}
	return p
}

// trouble says what is not noted, nil when everything is.
func (a *ahead) trouble() error {
	switch {
	case a == nil || a.missed == 0:
		return nil
	case a.err != nil:
		return a.err
	}
	return errors.New("the files are full, because the journal does not reach the disk")
}

// A record is the address in 16 bytes, IPv4 in IPv6 clothes, its family (4 or 6), the length of the
// prefix, the length of the scope in 4 bytes little-endian, and the scope.
const aheadHead = 16 + 1 + 1 + 4

func appendChange(b []byte, c state.Change) []byte {
	addr, family := c.Prefix.Addr().As16(), byte(6)
	if c.Prefix.Addr().Is4() {
		family = 4
	}
	b = append(append(b, addr[:]...), family, byte(c.Prefix.Bits()))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(c.Scope)))
	return append(b, c.Scope...)
}

// cutChange takes one record from the front; ok is false at the end, and at a record that is not
// whole: the process ended while it wrote, before it gave the element to the kernel.
func cutChange(b []byte) (c state.Change, rest []byte, ok bool) {
	if len(b) < aheadHead {
		return c, nil, false
	}
	size := uint64(binary.LittleEndian.Uint32(b[18:]))
	if size > uint64(len(b)-aheadHead) {
		return c, nil, false
	}
	addr := netip.AddrFrom16([16]byte(b[:16]))
	if b[16] == 4 {
		addr = addr.Unmap()
	}
	c.Prefix = netip.PrefixFrom(addr, int(b[17]))
	c.Scope = string(b[aheadHead : aheadHead+size])
	return c, b[aheadHead+size:], c.Prefix.IsValid()
}
