package cli

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
)

// trust lets a command on the server's own machine accept the server's own certificate, which is often not one that the
// system knows or that names this address: it must be exactly the one that is configured.
func (c *client) trust(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the server's certificate: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return fmt.Errorf("%s holds no certificate", path)
	}
	verify := func(state tls.ConnectionState) error {
		for _, known := range certificates(text) {
			if known.Equal(state.PeerCertificates[0]) {
				return nil
			}
		}
		_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: pool})
		return err
	}
	// The name is not checked, because the certificate itself is.
	c.http.Transport.(*http.Transport).TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, VerifyConnection: verify}
	return nil
}

func certificates(text []byte) []*x509.Certificate {
	var list []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			list = append(list, cert)
		}
	}
	return list
}
