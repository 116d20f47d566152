package nft

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// FuzzDecode: no bytes of an answer make the decoders panic or run on.
func FuzzDecode(f *testing.F) {
	var e encoder
	elementList(&e, unix.NFT_MSG_NEWSETELEM, unix.NLM_F_ACK, "stockade", "ban4", 3, func(e *encoder, i int) {
		appendEntry(e, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), i == 1, time.Duration(i)*time.Hour, "sshd")
	})
	f.Add(e.b)
	f.Add([]byte{})
	f.Add([]byte{16, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0})
	f.Add(e.b[:len(e.b)-3])
	f.Fuzz(func(_ *testing.T, b []byte) {
		for m := range messages(b) {
			_ = m.errno()
			if m.is(unix.NFT_MSG_NEWSETELEM) {
				decodeEntries(m.data, func(entry) {})
			}
			for _, v := range attrs(m.data) {
				_, _, _, _ = be32(v), be64(v), text(v), udata(v, udataElementComment)
				_ = decodeCounter(v)
			}
		}
	})
}

// TestEncodeDecode: what is written for the kernel is what is read of it.
func TestEncodeDecode(t *testing.T) {
	want := []entry{
		{key: netip.MustParseAddr("192.0.2.7"), remaining: time.Hour, comment: "sshd"},
		{key: netip.MustParseAddr("192.0.2.8"), end: true},
		{key: netip.MustParseAddr("2001:db8::7"), comment: "a"},
	}
	var e encoder
	elementList(&e, unix.NFT_MSG_NEWSETELEM, 0, "stockade", "mixed", len(want), func(e *encoder, i int) {
		appendEntry(e, want[i].key, want[i].end, want[i].remaining, want[i].comment)
	})
	n := 0
	for m := range messages(e.b) {
		if !m.is(unix.NFT_MSG_NEWSETELEM) {
			t.Fatalf("message of type %d", m.typ)
		}
		decodeEntries(m.data, func(got entry) {
			w := want[n]
			if w.remaining != 0 {
				w.remaining = 1 // the kernel says what remains in another attribute
			}
			if got != w {
				t.Errorf("%+v, want %+v", got, w)
			}
			n++
		})
	}
	if n != len(want) {
		t.Errorf("%d entries, want %d", n, len(want))
	}
}

// TestListsAreSplit: the kernel has 16 bits for the length of a list.
func TestListsAreSplit(t *testing.T) {
	var e encoder
	comment := string(make([]byte, 128))
	const n = 5000
	elementList(&e, unix.NFT_MSG_NEWSETELEM, 0, "stockade", "ban6", n, func(e *encoder, _ int) {
		appendEntry(e, netip.MustParseAddr("2001:db8::7"), false, time.Hour, comment)
	})
	total := 0
	for m := range messages(e.b) {
		if !m.is(unix.NFT_MSG_NEWSETELEM) || len(m.data) > 1<<16 {
			t.Errorf("a message of %d bytes", len(m.data))
		}
		decodeEntries(m.data, func(entry) { total++ })
	}
	if total != n {
		t.Errorf("%d of %d elements are in the messages", total, n)
	}
}

// TestEncodingAllocatesNothing once the buffer has grown.
func TestEncodingAllocatesNothing(t *testing.T) {
	var e encoder
	key := netip.MustParseAddr("192.0.2.7")
	write := func() {
		e.b = e.b[:0]
		for range 100 {
			appendEntry(&e, key, false, time.Hour, "sshd")
		}
	}
	write()
	if n := testing.AllocsPerRun(100, write); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
