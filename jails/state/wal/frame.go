package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// The head of a journal file is magic, the generation in 8 bytes, and the sum of both. A frame is
// the payload's length, the payload's sum, the sum of these 8 bytes with the generation, all in 4
// bytes little-endian, and the payload. The last sum says where the next frame begins even when
// the payload is damaged, and the generation in it keeps frames of another file out.
const (
	magic     = "stkwal01"
	headSize  = len(magic) + 8 + 4
	frameHead = 12
	// MaxRecord is the size in bytes of the largest record.
	MaxRecord = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func fileHead(gen uint64) []byte {
	b := append(make([]byte, 0, headSize), magic...)
	b = binary.LittleEndian.AppendUint64(b, gen)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func headSum(head []byte, gen uint64) uint32 {
	var g [8]byte
	binary.LittleEndian.PutUint64(g[:], gen)
	return crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, g[:])
}

func appendFrame(b []byte, gen uint64, payload []byte) []byte {
	at := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(payload, castagnoli))
	b = binary.LittleEndian.AppendUint32(b, headSum(b[at:at+8], gen))
	return append(b, payload...)
}

// Report is what reading a journal file found.
type Report struct {
	Records int   // good ones
	Damaged int   // records whose payload was damaged; they were left out
	Torn    int64 // bytes at the end that are no whole record; -1 when the file's head is bad
	Good    int64 // bytes from the start up to there
}

// Read calls apply with each good record of a journal file. The payload is valid during the call.
// The error is one of r or of apply; damage is no error, it is in the report.
func Read(r io.Reader, gen uint64, apply func(payload []byte) error) (Report, error) {
	var rep Report
	head := make([]byte, headSize)
	if _, err := io.ReadFull(r, head); err != nil {
		return Report{Torn: -1}, ignoreEOF(err)
	}
	if string(head) != string(fileHead(gen)) {
		return Report{Torn: -1}, nil
	}
	rep.Good = int64(headSize)
	payload := make([]byte, 0, 4096)
	for {
		n, err := io.ReadFull(r, head[:frameHead])
		rep.Torn = int64(n)
		if err != nil {
			return rep, ignoreEOF(err)
		}
		size := binary.LittleEndian.Uint32(head)
		if size > MaxRecord || binary.LittleEndian.Uint32(head[8:]) != headSum(head[:8], gen) {
			rest, err := io.Copy(io.Discard, r)
			rep.Torn += rest
			return rep, err
		}
		if cap(payload) < int(size) {
			payload = make([]byte, size)
		}
		payload = payload[:size]
		n, err = io.ReadFull(r, payload)
		rep.Torn += int64(n)
		if err != nil {
			return rep, ignoreEOF(err)
		}
		rep.Good += rep.Torn
		rep.Torn = 0
		if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
			rep.Damaged++
			continue
		}
		rep.Records++
		if err := apply(payload); err != nil {
			return rep, fmt.Errorf("record %d: %w", rep.Records, err)
		}
	}
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
