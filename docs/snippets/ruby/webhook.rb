require "json"
require "net/http"

post "/webhooks/heygen" do
  push, id = request.body.read, request.get_header("HTTP_HEYGEN_EVENT_ID")
  handle(request.env, push) # yours: checks the signature, does the work, raises if it cannot
  report = id ? JSON.generate(event_id: id) : push
  Thread.new do # the answer does not wait for it
    backstop = Net::HTTP.new("127.0.0.1", 8710, nil).tap { |http| http.open_timeout = http.read_timeout = 2 }
    backstop.post("/v1/seen", report, "Content-Type" => "application/json")
  rescue StandardError # a report that fails costs one replay
  end
  204
end
