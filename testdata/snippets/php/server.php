<?php
// A receiver around a snippet for PHP, as the router of PHP's own server.
function handle(array $headers, string $body): void
{
    $want = hash_hmac('sha256', $body, getenv('SECRET'));
    if ($want !== ($_SERVER['HTTP_HEYGEN_SIGNATURE'] ?? $_SERVER['HTTP_SIGNATURE'] ?? '')) {
        http_response_code(500);
        exit;
    }
}

require getenv('SNIPPET');
