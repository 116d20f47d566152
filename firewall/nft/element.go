package nft

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"stockade/firewall"
)

const (
	// maxList is the length in bytes at which a list of elements is closed: the kernel has 16 bits
	// for it, and an element takes at most 256.
	maxList = 60 << 10
	// maxGet is the number of keys asked for at once, so that the answers fit into the smallest
	// receive buffer.
	maxGet = 500

	udataSetComment     = 7 // NFTNL_UDATA_SET_COMMENT
	udataElementComment = 0 // NFTNL_UDATA_SET_ELEM_COMMENT
)

// entry is an element as the kernel has it.
type entry struct {
	key       netip.Addr
	end       bool          // the first address after an interval
	remaining time.Duration // 0: permanent
	comment   string
	count     firewall.Counters
}

// appendEntry appends one member of a list of elements. remaining 0 is permanent.
func appendEntry(e *encoder, key netip.Addr, end bool, remaining time.Duration, comment string) {
	item := e.nest(unix.NFTA_LIST_ELEM | unix.NLA_F_NESTED)
	k := e.nest(unix.NFTA_SET_ELEM_KEY | unix.NLA_F_NESTED)
	v := e.nest(unix.NFTA_DATA_VALUE)
	if key.Is4() {
		a := key.As4()
		e.b = append(e.b, a[:]...)
	} else {
		a := key.As16()
		e.b = append(e.b, a[:]...)
	}
	e.close(v)
	e.close(k)
	if end {
		e.u32(unix.NFTA_SET_ELEM_FLAGS, unix.NFT_SET_ELEM_INTERVAL_END)
	}
	if remaining != 0 {
		e.u64(unix.NFTA_SET_ELEM_TIMEOUT, uint64(max(remaining, firewall.MinRemaining).Milliseconds()))
	}
	if comment != "" {
		at := e.nest(unix.NFTA_SET_ELEM_USERDATA)
		e.b = append(e.b, udataElementComment, byte(len(comment)+1))
		e.b = append(append(e.b, comment...), 0)
		e.close(at)
	}
	e.close(item)
}

// elementList appends messages of one type for one set: n entries, written by entry, in as many
// lists as they need. The last message of a transaction asks for an acknowledgement.
func elementList(e *encoder, typ, flags uint16, table, set string, n int, entry func(e *encoder, i int)) {
	for i := 0; i < n; {
		m := e.begin(typ, flags)
		e.text(unix.NFTA_SET_ELEM_LIST_TABLE, table)
		e.text(unix.NFTA_SET_ELEM_LIST_SET, set)
		list := e.nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS | unix.NLA_F_NESTED)
		for i < n && len(e.b)-list < maxList {
			entry(e, i)
			i++
		}
		e.close(list)
		e.end(m)
	}
}

// appendGet appends the request for one element by its key.
func appendGet(e *encoder, table, set string, key netip.Addr) {
	elementList(e, unix.NFT_MSG_GETSETELEM, 0, table, set, 1, func(e *encoder, _ int) { appendEntry(e, key, false, 0, "") })
}

// decodeEntries calls each for the elements in the attributes of a NEWSETELEM.
func decodeEntries(b []byte, each func(entry)) {
	for _, item := range attrs(attr(b, unix.NFTA_SET_ELEM_LIST_ELEMENTS)) {
		var n entry
		for t, v := range attrs(item) {
			switch t {
			case unix.NFTA_SET_ELEM_KEY:
				n.key, _ = netip.AddrFromSlice(attr(v, unix.NFTA_DATA_VALUE))
			case unix.NFTA_SET_ELEM_FLAGS:
				n.end = be32(v)&unix.NFT_SET_ELEM_INTERVAL_END != 0
			case unix.NFTA_SET_ELEM_TIMEOUT:
				n.remaining = max(n.remaining, 1)
			case unix.NFTA_SET_ELEM_EXPIRATION:
				n.remaining = max(time.Duration(be64(v))*time.Millisecond, 1)
			case unix.NFTA_SET_ELEM_USERDATA:
				n.comment = udata(v, udataElementComment)
			case unix.NFTA_SET_ELEM_EXPR:
				n.count = decodeCounter(v)
			case nftaSetElemExpressions:
				n.count = decodeCounter(attr(v, unix.NFTA_LIST_ELEM))
			}
		}
		if n.key.IsValid() {
			each(n)
		}
	}
}

// nftaSetElemExpressions is NFTA_SET_ELEM_EXPRESSIONS, which x/sys lacks: several expressions.
const nftaSetElemExpressions = 11

func decodeCounter(b []byte) firewall.Counters {
	if text(attr(b, unix.NFTA_EXPR_NAME)) != "counter" {
		return firewall.Counters{}
	}
	data := attr(b, unix.NFTA_EXPR_DATA)
	return firewall.Counters{Packets: be64(attr(data, unix.NFTA_COUNTER_PACKETS)), Bytes: be64(attr(data, unix.NFTA_COUNTER_BYTES))}
}

// udata is the text of that type in the data that nft keeps beside an object.
func udata(b []byte, typ byte) string {
	for len(b) >= 2 && len(b) >= 2+int(b[1]) {
		n := 2 + int(b[1])
		if b[0] == typ {
			return text(b[2:n])
		}
		b = b[n:]
	}
	return ""
}
