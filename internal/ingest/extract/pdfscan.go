package extract

import (
	"fmt"
	"image/png"
	"math"
	"os"

	"github.com/klippa-app/go-pdfium/enums"
	"github.com/klippa-app/go-pdfium/requests"
)

// looked is how many objects of a page are looked at for a picture.
const looked = 200

// pictured reports a page that shows a picture, or a form that may hold one.
func (d *pdfDocument) pictured(index int) bool {
	page := requests.Page{ByIndex: &requests.PageByIndex{Document: d.ref, Index: index}}
	count, err := d.pdf.FPDFPage_CountObjects(&requests.FPDFPage_CountObjects{Page: page})
	if err != nil {
		return false
	}
	for i := range min(count.Count, looked) {
		object, err := d.pdf.FPDFPage_GetObject(&requests.FPDFPage_GetObject{Page: page, Index: i})
		if err != nil {
			return false
		}
		kind, err := d.pdf.FPDFPageObj_GetType(&requests.FPDFPageObj_GetType{PageObject: object.PageObject})
		if err == nil && (kind.Type == enums.FPDF_PAGEOBJ_IMAGE || kind.Type == enums.FPDF_PAGEOBJ_FORM) {
			return true
		}
	}
	return false
}

// scan draws a page and recognizes its text.
func (d *pdfDocument) scan(r request, index int) (*scan, error) {
	page := requests.Page{ByIndex: &requests.PageByIndex{Document: d.ref, Index: index}}
	size, err := d.pdf.GetPageSize(&requests.GetPageSize{Page: page})
	if err != nil {
		return nil, err
	}
	// A poster is drawn more coarsely: its letters are larger.
	dpi := min(scanDPI, int(72*math.Sqrt(maxPixels/max(size.Width*size.Height, 1))))
	if dpi < 10 {
		return nil, fmt.Errorf("a page of %.0f × %.0f points is too large to be drawn", size.Width, size.Height)
	}
	drawn, err := d.pdf.RenderPageInDPI(&requests.RenderPageInDPI{Page: page, DPI: dpi, ImageFormat: requests.RenderImageFormatGrayscale})
	if err != nil {
		return nil, err
	}
	defer drawn.Cleanup()
	file, err := os.CreateTemp("", "scan-*.png")
	if err != nil {
		return nil, err
	}
	defer os.Remove(file.Name())
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	err = encoder.Encode(file, drawn.Result.RenderedImage)
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, fmt.Errorf("draw page: %w", err)
	}
	pages, err := recognize(r, file.Name())
	if err != nil || len(pages) == 0 {
		return &scan{}, err
	}
	return pages[0], nil
}
