package frame

import "sync"

// buffers holds the large buffers that readers borrow, as *[]byte.
var buffers sync.Pool

// borrow returns a buffer of at least n bytes.
func borrow(n int) *[]byte {
	if p, ok := buffers.Get().(*[]byte); ok && len(*p) >= n {
		return p
	}
	b := make([]byte, n)
	return &b
}

// bigSize returns the size of the buffer in which every frame fits.
func (r *Reader) bigSize() int { return max(smallSize, r.max+slack) }

// makeRoom leaves at least one free byte behind r.end. It moves the unconsumed bytes, so the
// last frame is invalid afterwards.
func (r *Reader) makeRoom() {
	switch {
	case r.buf == nil:
		r.small = make([]byte, smallSize)
		r.buf = r.small
	case r.start == r.end:
		r.start, r.end, r.noLF, r.noNUL = 0, 0, 0, 0
		if r.filled && !r.skipLine && r.skip == 0 {
			r.useBig()
		} else {
			r.useSmall()
		}
	case r.end == len(r.buf):
		r.useBig()
		r.moveDown()
	}
}

// moveDown moves the unconsumed bytes to the front of the buffer.
func (r *Reader) moveDown() {
	if r.start == 0 {
		return
	}
	copy(r.buf, r.buf[r.start:r.end])
	r.noLF = max(0, r.noLF-r.start)
	r.noNUL = max(0, r.noNUL-r.start)
	r.end -= r.start
	r.start = 0
}

// useBig moves the unconsumed bytes into a large buffer, unless one is in use already.
func (r *Reader) useBig() {
	if r.big != nil || r.bigSize() <= smallSize {
		return
	}
	p := borrow(r.bigSize())
	copy(*p, r.buf[:r.end])
	r.big, r.buf = p, *p
}

// useSmall gives a large buffer back; nothing unconsumed may be in it.
func (r *Reader) useSmall() {
	if r.big == nil {
		return
	}
	buffers.Put(r.big)
	r.big, r.buf = nil, r.small
}

// release gives up all buffers at the end of the stream; no frame is out any more.
func (r *Reader) release() {
	r.start, r.end = 0, 0
	r.useSmall()
	r.small, r.buf = nil, nil
}
