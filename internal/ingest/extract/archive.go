package extract

import (
	"archive/zip"
	"encoding/xml"
	"fmt"
	"io"
	"path"
	"strings"

	"airfield/internal/fault"
)

// archive reads the parts of a zipped document under the limits that a zip bomb would break. Declared sizes are
// checked first, real ones while reading, because a bomb lies.
type archive struct {
	src   *source
	parts map[string]*zip.File
	spent int64 // bytes unpacked so far
}

// Below this size any ratio is harmless: short XML of one repeated element packs very well.
const ratioFloor = 4 << 20

func openArchive(src *source) (*archive, error) {
	r, err := zip.NewReader(src.file, src.size)
	if err != nil {
		return nil, damaged(src, "its zip wrapping cannot be read: %v", err)
	}
	limits := src.Config
	if len(r.File) > limits.MaxArchiveEntries {
		return nil, bomb(src, "it has %d entries; the most allowed is %d", len(r.File), limits.MaxArchiveEntries)
	}
	a := &archive{src: src, parts: make(map[string]*zip.File, len(r.File))}
	var total uint64
	for _, f := range r.File {
		if f.Flags&1 != 0 {
			return nil, encrypted(src)
		}
		if total += f.UncompressedSize64; total > uint64(limits.MaxArchiveBytes) || f.UncompressedSize64 > uint64(limits.MaxArchiveBytes) {
			return nil, bomb(src, "it unpacks to more than %d bytes, at entry %q", limits.MaxArchiveBytes, f.Name)
		}
		if f.UncompressedSize64 > ratioFloor && f.UncompressedSize64/uint64(limits.MaxArchiveRatio) > f.CompressedSize64 {
			return nil, bomb(src, "entry %q unpacks to more than %d times its size", f.Name, limits.MaxArchiveRatio)
		}
		a.parts[path.Clean(strings.TrimPrefix(f.Name, "/"))] = f
	}
	return a, nil
}

func bomb(src *source, format string, args ...any) *fault.Fault {
	return fault.New(fault.TooLarge, CodeZipBomb, "%q was not unpacked: %s", src.Name, fmt.Sprintf(format, args...)).
		Hinted("if it is genuine, raise extract.max_archive_bytes, extract.max_archive_entries or extract.max_archive_ratio")
}

// open returns a reader of one part, or nil when the archive has none of that name.
func (a *archive) open(name string) (io.ReadCloser, error) {
	f := a.parts[name]
	if f == nil {
		return nil, nil
	}
	r, err := f.Open()
	if err != nil {
		return nil, damaged(a.src, "entry %q cannot be unpacked: %v", name, err)
	}
	return &partReader{ReadCloser: r, archive: a, file: f}, nil
}

// partReader counts what really comes out.
type partReader struct {
	io.ReadCloser
	archive *archive
	file    *zip.File
	read    int64
}

func (p *partReader) Read(b []byte) (int, error) {
	n, err := p.ReadCloser.Read(b)
	p.read += int64(n)
	p.archive.spent += int64(n)
	limits := p.archive.src.Config
	switch {
	case p.archive.spent > limits.MaxArchiveBytes:
		return n, bomb(p.archive.src, "it unpacks to more than %d bytes, at entry %q", limits.MaxArchiveBytes, p.file.Name)
	case p.read > ratioFloor && p.read/limits.MaxArchiveRatio > int64(p.file.CompressedSize64):
		return n, bomb(p.archive.src, "entry %q unpacks to more than %d times its size", p.file.Name, limits.MaxArchiveRatio)
	}
	if err != nil && err != io.EOF {
		err = damaged(p.archive.src, "entry %q cannot be unpacked: %v", p.file.Name, err)
	}
	return n, err
}

// node is an XML element read whole; only small parts (styles, numbering, relations, properties) are.
type node struct {
	name     string
	attrs    map[string]string
	children []*node
	text     string
}

func (n *node) child(name string) *node {
	if n == nil {
		return nil
	}
	for _, c := range n.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// val is the w:val of the named child, "" when there is none.
func (n *node) val(name string) string {
	if c := n.child(name); c != nil {
		return c.attrs["val"]
	}
	return ""
}

const maxPartBytes = 32 << 20 // of a part that is read whole

// tree reads a small part whole; nil when the archive has none of that name.
func (a *archive) tree(name string) (*node, error) {
	r, err := a.open(name)
	if r == nil {
		return nil, err
	}
	defer r.Close()
	dec := xml.NewDecoder(io.LimitReader(r, maxPartBytes))
	root := &node{}
	stack := []*node{root}
	for {
		token, err := dec.Token()
		if err == io.EOF {
			return root.firstChild(), nil
		}
		if err != nil {
			return nil, a.xmlFault(name, err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			n := &node{name: t.Name.Local, attrs: make(map[string]string, len(t.Attr))}
			for _, at := range t.Attr {
				name := at.Name.Local
				if strings.HasSuffix(at.Name.Space, "/relationships") { // r:id beside an id of its own
					name = "rel:" + name
				}
				n.attrs[name] = at.Value
			}
			top := stack[len(stack)-1]
			top.children = append(top.children, n)
			stack = append(stack, n)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			stack[len(stack)-1].text += string(t)
		}
	}
}

func (n *node) firstChild() *node {
	if len(n.children) == 0 {
		return nil
	}
	return n.children[0]
}

// xmlFault keeps a fault that came up through the parser and calls everything else damage.
func (a *archive) xmlFault(name string, err error) error {
	if fault.KindOf(err) != fault.Internal {
		return err
	}
	return damaged(a.src, "entry %q is not well-formed: %v", name, err)
}
