package nft

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"golang.org/x/sys/unix"

	"stockade/firewall"
)

// kind is what a set is keyed by.
type kind uint8

const (
	ban4  kind = iota // single IPv4 addresses
	ban6              // IPv6 addresses masked to Config.IPv6Prefix bits
	host6             // single IPv6 addresses
	net4              // ranges
	net6
	kinds // their number
)

var kindNames = [kinds]string{"ban4", "ban6", "host6", "net4", "net6"}

func (k kind) v4() bool       { return k == ban4 || k == net4 }
func (k kind) interval() bool { return k == net4 || k == net6 }

// kindOf says in which kind of set a prefix is kept.
func kindOf(p netip.Prefix, ipv6Prefix int) kind {
	switch {
	case p.Addr().Is4() && p.IsSingleIP():
		return ban4
	case p.Addr().Is4():
		return net4
	case p.IsSingleIP():
		return host6
	case p.Bits() == ipv6Prefix:
		return ban6
	}
	return net6
}

// setID names a set that holds elements. Those of every scope with verdict drop always exist.
type setID struct {
	kind
	scope   firewall.Scope
	verdict firewall.Verdict
}

func (s setID) always() bool { return s.scope == "" && s.verdict == firewall.Drop }

// inOrder sorts sets as their rules stand: every scope first, drop before reject.
func inOrder(a, b setID) int {
	return cmp.Or(cmp.Compare(a.scope, b.scope), cmp.Compare(a.verdict, b.verdict), cmp.Compare(a.kind, b.kind))
}

// maxSetName is the longest name of a set we make, in bytes; older kernels end at 31.
const maxSetName = 31

// name is the set's name in the kernel: ban4, ban4_p22, ban4_p22_r for the verdict reject. In a
// scope's part commas become _, the - of a range becomes to, /tcp t and /udp u; a scope too long
// for that becomes a hash, and the set's comment says what it stands for.
func (s setID) name() string {
	n := kindNames[s.kind]
	suffix := ""
	if s.verdict == firewall.Reject {
		suffix = "_r"
	}
	if s.scope == "" {
		return n + suffix
	}
	scope := "_p" + strings.NewReplacer(",", "_", "-", "to", "/tcp", "t", "/udp", "u").Replace(string(s.scope))
	if len(n)+len(scope)+len(suffix) > maxSetName {
		sum := sha256.Sum256([]byte(s.scope))
		scope = "_h" + hex.EncodeToString(sum[:8])
	}
	return n + scope + suffix
}

// The parts of a set's comment, joined by "; ".
const (
	scopeComment  = "ports "  // the scope follows
	prefixComment = "prefix " // the bits of the keys that count follow
)

// comment is what a set of this name cannot say by it.
func (s setID) comment(ipv6Prefix int) string {
	var parts []string
	if s.scope != "" {
		parts = append(parts, scopeComment+string(s.scope))
	}
	if s.kind == ban6 {
		parts = append(parts, prefixComment+strconv.Itoa(ipv6Prefix))
	}
	return strings.Join(parts, "; ")
}

// parseSet finds what a set of our table is from its name and comment.
func parseSet(name, comment string) (setID, bool) {
	for k := range kinds {
		for _, v := range []firewall.Verdict{firewall.Drop, firewall.Reject} {
			scope := ""
			for part := range strings.SplitSeq(comment, "; ") {
				if s, ok := strings.CutPrefix(part, scopeComment); ok {
					scope = s
				}
			}
			id := setID{k, firewall.Scope(scope), v}
			if _, err := id.scope.Ports(); err == nil && id.name() == name {
				return id, true
			}
		}
	}
	return setID{}, false
}

// The sets beside those that hold elements.
const (
	never4 = "never4" // prefixes that are never dropped
	never6 = "never6"
	seen4  = "seen4" // addresses that completed a handshake lately
	seen6  = "seen6" // the same, masked to Config.IPv6Prefix bits
)

const (
	// seenFor is how long a completed handshake is remembered.
	seenFor = time.Hour
	// seenSize bounds the sets of witnesses, in elements: rules fill them.
	seenSize = 1 << 17
)

// definition is a set of our table as the library takes it.
func (e *Enforcer) definition(name string) *nftables.Set {
	s := &nftables.Set{Table: e.table, Name: name, KeyType: nftables.TypeIPAddr, KeyByteOrder: binaryutil.BigEndian}
	switch name {
	case never4, never6:
		s.Interval = true
	case seen4, seen6:
		s.HasTimeout, s.Dynamic, s.Timeout, s.Size = true, true, seenFor, seenSize
	}
	if strings.HasSuffix(name, "6") {
		s.KeyType = nftables.TypeIP6Addr
	}
	return s
}

// banDefinition is a set that holds elements as the library takes it.
func (e *Enforcer) banDefinition(id setID) *nftables.Set {
	s := &nftables.Set{
		Table: e.table, Name: id.name(), KeyType: nftables.TypeIPAddr, KeyByteOrder: binaryutil.BigEndian,
		HasTimeout: true, Counter: true, Interval: id.interval(), Size: e.setSize,
	}
	if !id.v4() {
		s.KeyType = nftables.TypeIP6Addr
	}
	s.Comment = id.comment(e.config.IPv6Prefix)
	return s
}

// definitions are all sets of our table.
func (e *Enforcer) definitions() []*nftables.Set {
	var out []*nftables.Set
	for _, name := range []string{never4, never6, seen4, seen6} {
		out = append(out, e.definition(name))
	}
	for _, id := range e.setList() {
		out = append(out, e.banDefinition(id))
	}
	return out
}

// found is a set of our table as the kernel has it.
type found struct {
	name, comment string
	flags, keyLen uint32
	handle        uint64
}

// fits says whether the set holds what the definition is for. Keys of ban6 that were masked to
// another length mean nothing now.
func (f found) fits(s *nftables.Set) bool {
	want := uint32(0)
	if s.Interval {
		want |= unix.NFT_SET_INTERVAL
	}
	if s.HasTimeout {
		want |= unix.NFT_SET_TIMEOUT
	}
	if s.Dynamic {
		want |= unix.NFT_SET_EVAL
	}
	const looked = unix.NFT_SET_INTERVAL | unix.NFT_SET_TIMEOUT | unix.NFT_SET_EVAL | unix.NFT_SET_MAP | unix.NFT_SET_CONSTANT
	return f.flags&looked == want && f.keyLen == s.KeyType.Bytes && f.comment == s.Comment
}

// nftaSetHandle is NFTA_SET_HANDLE, which x/sys lacks.
const nftaSetHandle = 16

// listSets gives the named sets of a table, none when there is no table.
func listSets(l *link, table string) ([]found, error) {
	var out []found
	l.enc.b = l.enc.b[:0]
	m := l.enc.begin(unix.NFT_MSG_GETSET, unix.NLM_F_DUMP)
	l.enc.text(unix.NFTA_SET_TABLE, table)
	l.enc.end(m)
	err := l.ask(unix.NFT_MSG_NEWSET, func(b []byte) bool {
		var f found
		for t, v := range attrs(b) {
			switch t {
			case unix.NFTA_SET_NAME:
				f.name = text(v)
			case unix.NFTA_SET_FLAGS:
				f.flags = be32(v)
			case unix.NFTA_SET_KEY_LEN:
				f.keyLen = be32(v)
			case unix.NFTA_SET_USERDATA:
				f.comment = udata(v, udataSetComment)
			case nftaSetHandle:
				f.handle = be64(v)
			}
		}
		if f.flags&unix.NFT_SET_ANONYMOUS == 0 {
			out = append(out, f)
		}
		return true
	})
	return out, ignore(err, unix.ENOENT)
}
