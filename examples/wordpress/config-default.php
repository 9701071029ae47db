<?php
// WordPress's settings, from the function's environment.
define('DB_NAME', getenv('DB_NAME') ?: 'wordpress');
define('DB_USER', getenv('DB_USER') ?: 'wordpress');
define('DB_PASSWORD', getenv('DB_PASSWORD'));
define('DB_HOST', getenv('DB_HOST') ?: 'host.sampan.internal:3306');
define('DB_CHARSET', 'utf8mb4');
define('WP_HOME', getenv('SITE_URL'));
define('WP_SITEURL', getenv('SITE_URL'));
// All instances must agree on them, or a login at one is none at the others.
foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $name) {
    define($name . '_KEY', hash_hmac('sha256', $name . '_KEY', getenv('AUTH_SECRET')));
    define($name . '_SALT', hash_hmac('sha256', $name . '_SALT', getenv('AUTH_SECRET')));
}
// The image is the code: an instance that changed its own would change no other.
define('DISALLOW_FILE_MODS', true);
define('WP_DEBUG_LOG', '/dev/stderr');
