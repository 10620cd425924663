-- Accounts, and how much each has sent.
CREATE TABLE public.transfer_accounts (
    id         bigint PRIMARY KEY,
    sent       bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- One row for each transfer.
CREATE TABLE public.transfers (
    id         uuid PRIMARY KEY,
    account_id bigint NOT NULL REFERENCES public.transfer_accounts (id),
    amount     bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Cursor-based tools read by it.
CREATE INDEX transfer_accounts_updated_at_idx ON public.transfer_accounts (updated_at);

-- Cursor-based tools read by it.
CREATE INDEX transfers_updated_at_idx ON public.transfers (updated_at);
