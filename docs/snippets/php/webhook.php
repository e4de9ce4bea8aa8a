<?php
$body = file_get_contents('php://input');
handle(getallheaders(), $body); // yours: checks the signature, does the work, throws if it cannot
http_response_code(204);
if (function_exists('fastcgi_finish_request')) fastcgi_finish_request(); // PHP-FPM: the answer leaves first
$id = $_SERVER['HTTP_HEYGEN_EVENT_ID'] ?? '';
@file_get_contents('http://127.0.0.1:8710/v1/seen', false, stream_context_create(['http' => [
    'method' => 'POST',
    'header' => 'Content-Type: application/json',
    'content' => $id === '' ? $body : json_encode(['event_id' => $id]),
    'timeout' => 2,
]])); // a report that fails costs one replay
