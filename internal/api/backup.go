package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"backstop/internal/exit"
)

// The headers of a copy beside its Content-Length. The digest is that of RFC 9530.
const (
	headerDigest     = "Repr-Digest"
	headerGeneration = "X-Backstop-Generation"
)

// stateBackup answers with a copy of the state. It was made before the first
// byte is sent, so a reader may take its time.
func (h *handler) stateBackup(w http.ResponseWriter, r *http.Request) {
	b, err := h.engine.StateBackup(r.Context())
	if err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	defer b.Close()
	header := w.Header()
	header.Set("Content-Type", "application/octet-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Length", strconv.FormatInt(b.Size, 10))
	header.Set(headerDigest, digest(b.Sum[:]))
	header.Set(headerGeneration, strconv.FormatUint(b.Generation, 10))
	w.WriteHeader(http.StatusOK)
	_, _ = io.Copy(w, b) // the reader finds that it is short
}

func digest(sum []byte) string {
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum) + ":"
}

// Backup is what a copy of the state is.
type Backup struct {
	Size       int64  `json:"size_bytes"`
	Generation uint64 `json:"generation"` // of the state that was copied
}

// StateBackup writes a copy of the state, and makes sure that all of it came.
func (c *Client) StateBackup(ctx context.Context, to io.Writer) (Backup, error) {
	response, err := c.send(ctx, http.MethodPost, "/v1/state/backup", nil)
	if err != nil {
		return Backup{}, err
	}
	defer response.Body.Close()
	generation, err := strconv.ParseUint(response.Header.Get(headerGeneration), 10, 64)
	if err != nil {
		return Backup{}, exit.Errorf(exit.Failed, "is it a daemon of this version?", "the answer is no copy of a state: %w", err)
	}
	sum, out := sha256.New(), &noted{to: to}
	n, err := io.Copy(io.MultiWriter(sum, out), response.Body)
	switch {
	case out.err != nil:
		return Backup{}, exit.Errorf(exit.Failed, "see that there is room for the copy", "write the copy: %w", out.err)
	case ctx.Err() != nil:
		return Backup{}, ctx.Err()
	case err != nil:
		return Backup{}, torn(err)
	case digest(sum.Sum(nil)) != response.Header.Get(headerDigest):
		return Backup{}, torn(fmt.Errorf("%d bytes that are not the whole copy", n))
	}
	return Backup{Size: n, Generation: generation}, nil
}

// torn is the error of a copy that did not come whole.
func torn(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("it ended early")
	}
	return exit.Errorf(exit.Failed, "run it again", "the copy broke off: %w", err)
}

// noted remembers the error of a writer, to tell it from that of the reader.
type noted struct {
	to  io.Writer
	err error
}

func (n *noted) Write(p []byte) (int, error) {
	done, err := n.to.Write(p)
	if err != nil {
		n.err = err
	}
	return done, err
}
