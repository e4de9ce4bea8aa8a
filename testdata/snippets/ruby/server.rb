# A receiver around a snippet for Sinatra.
require "openssl"
require "sinatra"

set server: "puma", bind: "127.0.0.1", port: ENV.fetch("PORT"), environment: :production, quiet: true

def handle(env, body)
  want = OpenSSL::HMAC.hexdigest("SHA256", ENV.fetch("SECRET"), body)
  raise "not signed" if want != (env["HTTP_HEYGEN_SIGNATURE"] || env["HTTP_SIGNATURE"])
end

load ENV.fetch("SNIPPET")
