package nft

import (
	"encoding/binary"
	"iter"

	"golang.org/x/sys/unix"
)

// The sizes of netlink's headers, in bytes.
const (
	sizeHeader   = 16 // struct nlmsghdr
	sizeFamily   = 4  // struct nfgenmsg
	sizeAttr     = 4  // struct nlattr
	attrTypeMask = ^uint16(unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
)

// encoder appends netlink messages of nftables to b. The fields of headers are in the byte order
// of the host, the numbers within attributes big-endian.
type encoder struct {
	b   []byte
	seq uint32
}

// begin starts a message of nftables and gives the offset for end.
func (e *encoder) begin(typ, flags uint16) int {
	return e.header(unix.NFNL_SUBSYS_NFTABLES<<8|typ, flags, unix.NFPROTO_INET, 0)
}

func (e *encoder) header(typ, flags uint16, family uint8, resource uint16) int {
	at := len(e.b)
	e.seq++
	e.b = binary.NativeEndian.AppendUint32(e.b, 0)
	e.b = binary.NativeEndian.AppendUint16(e.b, typ)
	e.b = binary.NativeEndian.AppendUint16(e.b, flags|unix.NLM_F_REQUEST)
	e.b = binary.NativeEndian.AppendUint32(e.b, e.seq)
	e.b = binary.NativeEndian.AppendUint32(e.b, 0)
	e.b = append(e.b, family, unix.NFNETLINK_V0)
	e.b = binary.BigEndian.AppendUint16(e.b, resource)
	return at
}

// end writes the length of the message that begin started.
func (e *encoder) end(at int) {
	binary.NativeEndian.PutUint32(e.b[at:], uint32(len(e.b)-at))
}

// nest starts an attribute that holds attributes, or any attribute of unknown length.
func (e *encoder) nest(typ uint16) int {
	at := len(e.b)
	e.b = binary.NativeEndian.AppendUint16(e.b, 0)
	e.b = binary.NativeEndian.AppendUint16(e.b, typ)
	return at
}

// close writes the length of the attribute that nest started, and pads.
func (e *encoder) close(at int) {
	binary.NativeEndian.PutUint16(e.b[at:], uint16(len(e.b)-at))
	for len(e.b)%4 != 0 {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) text(typ uint16, s string) {
	at := e.nest(typ)
	e.b = append(append(e.b, s...), 0)
	e.close(at)
}

func (e *encoder) u32(typ uint16, v uint32) {
	at := e.nest(typ)
	e.b = binary.BigEndian.AppendUint32(e.b, v)
	e.close(at)
}

func (e *encoder) u64(typ uint16, v uint64) {
	at := e.nest(typ)
	e.b = binary.BigEndian.AppendUint64(e.b, v)
	e.close(at)
}

// message is one message of an answer. data begins behind the headers and is valid as long as the
// buffer it was cut from.
type message struct {
	typ, flags uint16
	seq        uint32
	data       []byte
}

// messages are the complete messages in b.
func messages(b []byte) iter.Seq[message] {
	return func(yield func(message) bool) {
		for len(b) >= sizeHeader {
			n := int(binary.NativeEndian.Uint32(b))
			if n < sizeHeader || n > len(b) {
				return
			}
			m := message{
				typ: binary.NativeEndian.Uint16(b[4:]), flags: binary.NativeEndian.Uint16(b[6:]),
				seq: binary.NativeEndian.Uint32(b[8:]), data: b[sizeHeader:n],
			}
			if !yield(m) {
				return
			}
			b = b[min(align(n), len(b)):]
		}
	}
}

// is says whether the message is nftables' of this type, and cuts its family header.
func (m *message) is(typ uint16) bool {
	if m.typ != unix.NFNL_SUBSYS_NFTABLES<<8|typ || len(m.data) < sizeFamily {
		return false
	}
	m.data = m.data[sizeFamily:]
	return true
}

// errno is the number in an NLMSG_ERROR, 0 for an acknowledgement.
func (m *message) errno() unix.Errno {
	if len(m.data) < 4 {
		return unix.EBADMSG
	}
	return unix.Errno(-int32(binary.NativeEndian.Uint32(m.data)))
}

// attrs are the attributes in b: types without their flags, and values.
func attrs(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= sizeAttr {
			n := int(binary.NativeEndian.Uint16(b))
			if n < sizeAttr || n > len(b) {
				return
			}
			if !yield(binary.NativeEndian.Uint16(b[2:])&attrTypeMask, b[sizeAttr:n]) {
				return
			}
			b = b[min(align(n), len(b)):]
		}
	}
}

// attr is the first attribute of that type in b, nil when there is none.
func attr(b []byte, typ uint16) []byte {
	for t, v := range attrs(b) {
		if t == typ {
			return v
		}
	}
	return nil
}

func align(n int) int { return (n + 3) &^ 3 }

func be32(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

func be64(b []byte) uint64 {
	if len(b) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

func text(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
